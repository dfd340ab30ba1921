"""Reaching guests: where they are, how to log in, and why they do not answer."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import HostError, LagoError, VMError, VMNotRunningError, WaitTimeoutError
from lago_sdk.ports import SSHTarget
from lago_sdk.service.observing.states import check_runs, has_stopped_for_good, not_running
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.config import Config
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout

_CONSOLE_LINES = 12
_CONSOLE_BYTES = 8192


def find_address(vm: VMPlan) -> str | None:
    """Return where *vm* is reached, or ``None`` where nobody knows.

    That is its management address (IPv4 before IPv6); of a machine that is elsewhere, what the
    spec says of it: a host name, too.
    """
    if vm.is_remote and vm.spec.ssh_host is not None:
        return vm.spec.ssh_host
    nic = vm.management_nic
    if nic is None:
        return None
    address = nic.ip or nic.ip6
    return str(address) if address is not None else None


def ssh_target(vm: VMPlan, layout: PrefixLayout) -> SSHTarget:
    """Return how to log in to *vm*.

    Raises:
        VMError: The VM has no address on its management net.
    """
    address = find_address(vm)
    if address is None:
        raise VMError(
            vm.name,
            f"{vm.name!r} has no address to reach it at",
            hint="plug one of its nics into a net with addresses, or use its console",
        )
    return SSHTarget(
        vm=vm.name,
        address=address,
        port=vm.spec.ssh_port,
        user=vm.ssh_user,
        key_path=layout.private_key if vm.spec.ssh_key is None else Path(vm.spec.ssh_key),
        password=vm.spec.ssh_password,
        host_keys_path=layout.known_hosts,
        host_key_alias=vm.name,
        is_outside=vm.is_remote,
    )


def check_reachable(vm: VMPlan, context: PrefixContext) -> None:
    """Return when the guest of *vm* may answer: a paused one would keep the caller waiting.

    Raises:
        VMNotRunningError: It is off or paused; the message tells its state.
        HostError: Nobody can tell, and there is no connection to the guest that may still work.
    """
    if vm.is_remote:
        return
    try:
        # First of all: each command that a guest is given passes here.
        info = context.hypervisor.find_domain(vm.domain)
    except HostError:
        if context.world.host.is_ended():
            raise not_running(vm.name, VMState.DOWN) from None
        if context.guests.is_known(vm.name):
            return
        raise
    check_runs(vm.name, info)


def boot_timeout(vm: VMPlan, config: Config) -> float:
    """Return how many seconds the boot of *vm* may take."""
    if config.boot_timeout is not None:
        return config.boot_timeout
    return float(vm.spec.boot_time_sec)


def answers_ssh(vm: VMPlan) -> bool:
    """Whether a login to *vm* will work once it is up: it was prepared, or is somebody else's."""
    from lago_sdk.spec.vm import Bootstrap

    is_prepared = vm.is_remote or vm.bootstrap is not Bootstrap.NONE
    return is_prepared and find_address(vm) is not None


def wait_for_ssh(
    vm: VMPlan, *, context: PrefixContext, timeout: float, give_up: Callable[[], None]
) -> float:
    """Wait until a login to *vm* works; returns the seconds it took.

    Args:
        vm: Whom to wait for.
        context: Its prefix.
        timeout: Seconds to wait at most.
        give_up: Called now and then; raises to end the wait early.

    Raises:
        WaitTimeoutError: With the stage reached and the console's last lines.
        VMNotRunningError: The VM went off while it was waited for.
        SSHError: Waiting is no use: another host key than the pinned one.
    """
    console_log = context.layout.path / vm.console_log

    def check() -> None:
        give_up()
        check_alive(vm, context)

    try:
        return context.guests.get(vm).wait(
            timeout=timeout, explain=lambda: describe_vm(vm, context), give_up=check
        )
    except WaitTimeoutError as error:
        raise WaitTimeoutError(
            error.message,
            stage=error.stage,
            console=read_last_lines(console_log),
            hint=error.hint or f"all that it wrote to its console is in {console_log}",
        ) from error


def read_last_lines(path: Path, count: int = _CONSOLE_LINES) -> tuple[str, ...]:
    """Return the last *count* non-empty lines of a log; none when it cannot be read."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _CONSOLE_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ()
    lines = (line.rstrip() for line in text.splitlines())
    return tuple(deque((line for line in lines if line), maxlen=count))


def check_alive(vm: VMPlan, context: PrefixContext) -> None:
    """Return when the VM still runs: one that is off or paused will never answer.

    Raises:
        VMNotRunningError: It does not; the message tells its state, and ends with the console's
            last lines where it went off.
    """
    if vm.is_remote:
        return
    info = context.hypervisor.find_domain(vm.domain)
    if info is not None and has_stopped_for_good(info.state, info.reason):
        raise not_running(vm.name, info.state, info.reason)
    if info is not None and info.state.is_active:
        return
    message = f"{vm.name!r} went off while it was waited for: {describe_vm(vm, context)}"
    lines = read_last_lines(context.layout.path / vm.console_log)
    if lines:
        message += "; its console ends with:\n" + "\n".join(f"  {line}" for line in lines)
    raise VMNotRunningError(vm.name, message)


def describe_vm(vm: VMPlan, context: PrefixContext) -> str:
    """Tell what is known of a VM that does not answer: its domain, and its DHCP requests."""
    if vm.is_remote:
        return f"it is not on this prefix's host (vm-provider: {vm.provider})"
    try:
        info = context.hypervisor.find_domain(vm.domain)
        dhcp = "" if info is None else _describe_dhcp(vm, context)
    except LagoError as error:
        return f"libvirt says: {error.message}"
    if info is None:
        return "its domain is gone"
    reason = f" ({info.reason})" if info.reason else ""
    return f"its domain is {info.state.value}{reason}{dhcp}"


def _describe_dhcp(vm: VMPlan, context: PrefixContext) -> str:
    """Tell whether the management nic asked for its address, where it has to."""
    from lago_sdk.plan.models import AddressMethod

    nic = vm.management_nic
    if nic is None or nic.method is not AddressMethod.DHCP:
        return ""
    leases = context.hypervisor.list_dhcp_leases(context.plan.get_net(nic.net).network)
    given = [lease.address for lease in leases if lease.mac == nic.mac.lower()]
    return f", it got {given[0]} by DHCP" if given else ", no DHCP request of it was seen"
