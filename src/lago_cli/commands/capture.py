"""The verb that captures packets."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lago_cli.commands.see import check_not_terminal
from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.units import format_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import Capture, CaptureReport, Prefix

app = new_family()


@verb(
    app,
    "lagoctl capture lan",
    "lagoctl capture lan -o dhcp.pcap --count 4 port 67",
    "lagoctl capture web --nic 1 --duration 30",
    "lagoctl capture lan -o - tcp port 80 | tshark -i -",
)
def capture(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NET|VM", help="A net, or a VM for one nic.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILTER...", help="As for tcpdump, which compiles it. Everything when absent."
        ),
    ] = None,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The pcap file; NAME.pcap when absent, - is standard output.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-c", metavar="N", min=1, help="End after N packets.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End after so many seconds.")
    ] = None,
    nic: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Of a VM: the N of ethN; 0 when absent.")
    ] = None,
) -> None:
    """Capture the packets of a net, or of a nic of a VM.

    They go to a pcap file, until Control-C.
    On a private host nobody needs to be root for it.
    """
    if output == "-":
        check_not_terminal("a capture")
    target = sys.stdout.buffer if output == "-" else output or f"{name}.pcap"
    running = _begin(
        session.open_prefix(), name, target, words=words, count=count, duration=duration, nic=nic
    )
    with running, suppress(KeyboardInterrupt):  # a good end here
        session.say("capturing; Control-C ends it")
        running.wait()
    session.say(_describe(running.stop()))


def _begin(
    prefix: "Prefix",
    name: str,
    target: "str | BinaryIO",
    *,
    words: list[str] | None,
    count: int | None,
    duration: float | None,
    nic: int | None,
) -> "Capture":
    """Begin to capture on the net, else on the VM of that name."""
    if nic is None and name in prefix.nets:
        return prefix.nets[name].capture(target, filter=words, count=count, duration=duration)
    from lago_sdk import LagoError, VMNotFoundError

    try:
        vm = find_vm(prefix, name)
    except VMNotFoundError as error:
        if nic is not None:
            raise
        known = ", ".join([*prefix.nets, *prefix.vms])
        message = f"there is no net and no VM {name!r}"
        raise LagoError(message, hint=f"there are: {known}") from error
    return vm.capture(target, nic=nic or 0, filter=words, count=count, duration=duration)


def _describe(report: "CaptureReport") -> str:
    packets = "1 packet" if report.packets == 1 else f"{report.packets} packets"
    told = f"{packets} in {report.seconds:.1f} s, {format_size(report.size)}"
    if report.lost:
        told += f"; {report.lost} more came too fast and were lost"
    return told if report.path is None else f"{report.path}: {told}"
