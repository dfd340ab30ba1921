"""Deploying: the scripts of each VM run in its guest, in order; VMs at the same time."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from lago_sdk.errors import DeployError, VMNotRunningError
from lago_sdk.events import Output, stage
from lago_sdk.service.guests.reach import boot_timeout, wait_for_ssh
from lago_sdk.service.guests.scripts import list_script_command
from lago_sdk.service.making.deploy_scripts import list_copies
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import Cancellation, run_parallel
from lago_sdk.service.select import select_vms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.events import Observer
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_DEPLOYS_AT_ONCE = 32
_KEPT = 64 * 1024
"""Bytes of a script's last output that an error carries; the log has all of it."""


@attrs.frozen(kw_only=True)
class ScriptRun:
    """One script that ended well."""

    script: str
    """Its path, as the init file has it."""
    seconds: float


@attrs.frozen(kw_only=True)
class DeployReport:
    """What a deployment did."""

    runs: Mapping[str, tuple[ScriptRun, ...]]
    """The scripts by name of the VM; VMs without scripts are absent."""
    logs: Mapping[str, Path]
    """The file that keeps their output, by name of the VM."""
    seconds: float
    skipped: tuple[str, ...] = ()
    """VMs whose scripts ran when they came up, and were not run again."""


def deploy_vms(
    context: PrefixContext, names: Iterable[str] | None, *, timeout: float | None
) -> DeployReport:
    """Run the deploy scripts of VMs (all for ``None``); see `lago_sdk.Prefix.deploy`."""
    begin = time.monotonic()
    vms = [vm for vm in select_vms(context.plan, names) if vm.spec.deploy_scripts]
    _require_running(vms, context)
    cancellation = Cancellation()

    def deploy(vm: VMPlan) -> tuple[ScriptRun, ...]:
        return _deploy_vm(vm, context, timeout=timeout, cancellation=cancellation)

    runs = run_parallel(
        deploy,
        vms,
        limit=_DEPLOYS_AT_ONCE,
        message="several VMs were not deployed",
        cancellation=cancellation,
        keep_going=True,
    )
    return DeployReport(
        runs={vm.name: run for vm, run in zip(vms, runs, strict=True)},
        logs={vm.name: deploy_log(vm, context) for vm in vms},
        seconds=time.monotonic() - begin,
    )


def deploy_log(vm: VMPlan, context: PrefixContext) -> Path:
    """Return the file that keeps what the deploy scripts of *vm* wrote, beside its console's."""
    console = context.layout.path / vm.console_log
    return console.with_name(console.name.removesuffix(".console.log") + ".deploy.log")


def _require_running(vms: list[VMPlan], context: PrefixContext) -> None:
    seen = observe(context.plan, context.world.host)
    for vm in vms:
        if not vm.is_remote and not seen.is_active(vm.name):
            state = seen.state(vm.name).value
            message = f"{vm.name!r} cannot be deployed: it is {state}"
            raise VMNotRunningError(vm.name, message, hint=f"start it: lagoctl start {vm.name}")


def _deploy_vm(
    vm: VMPlan, context: PrefixContext, *, timeout: float | None, cancellation: Cancellation
) -> tuple[ScriptRun, ...]:
    wait_for_ssh(
        vm,
        context=context,
        timeout=boot_timeout(vm, context.world.config),
        give_up=cancellation.check,
    )
    runs = []
    copies = list_copies(vm, plan=context.plan, layout=context.layout)
    for script, copy in zip(vm.spec.deploy_scripts, copies, strict=True):
        cancellation.check()
        begin = time.monotonic()
        with stage(context.world.observe, "deploy", f"{vm.name}: {Path(script).name}"):
            _run_script(vm, script, copy, context, timeout=timeout)
        runs.append(ScriptRun(script=script, seconds=time.monotonic() - begin))
    return tuple(runs)


def _run_script(
    vm: VMPlan, script: str, copy: Path, context: PrefixContext, *, timeout: float | None
) -> None:
    content = copy.read_bytes()
    log_path = deploy_log(vm, context)
    log_path.parent.mkdir(exist_ok=True)
    with log_path.open("ab") as log:
        log.write(f"== {script}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        output = _LiveOutput(vm.name, log, context.world.observe)
        try:
            result = context.guests.get(vm).run(
                shlex.join(list_script_command(content)),
                input=content,
                timeout=timeout,
                on_output=output.take,
            )
        finally:
            output.end()
        log.write(f"== exit code {result.code}\n".encode())
    if result.code != 0:
        raise DeployError(vm.name, script, code=result.code, output=output.text(), log=log_path)


class _LiveOutput:
    """Tells output line by line as it comes, and keeps it in a log.

    The two streams are told apart only where they end up: a line is told when it is whole.
    """

    def __init__(self, vm: str, log: BinaryIO, observe: Observer) -> None:
        self._vm = vm
        self._log = log
        self._observe = observe
        self._rest: dict[str, bytes] = {}
        self._last = bytearray()

    def take(self, stream: str, data: bytes) -> None:
        """Take a piece of ``"out"`` or ``"err"``."""
        self._log.write(data)
        self._log.flush()
        self._last += data
        del self._last[:-_KEPT]
        *lines, rest = (self._rest.get(stream, b"") + data).split(b"\n")
        self._rest[stream] = rest
        for line in lines:
            self._tell(stream, line)

    def end(self) -> None:
        """Tell last lines that have no end."""
        for stream, rest in self._rest.items():
            if rest:
                self._tell(stream, rest)
                self._log.write(b"\n")
        self._rest.clear()

    def text(self) -> str:
        """The last output, of both streams as it came."""
        return self._last.decode(errors="replace")

    def _tell(self, stream: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._observe(Output(subject=self._vm, line=text, is_error=stream == "err"))
