"""Reaching guests: where they are, how to log in, and why they do not answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, VMError, VMNotRunningError, WaitTimeoutError
from lago_sdk.ports import SSHTarget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lago_sdk.config import Config
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Guest, Host
    from lago_sdk.service.layout import PrefixLayout

_CONSOLE_LINES = 12
_CONSOLE_BYTES = 8192


def find_address(vm: VMPlan) -> str | None:
    """Return the management address of *vm* (IPv4 before IPv6), or ``None`` without one."""
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
        user=vm.ssh_user,
        key_path=layout.private_key,
        password=vm.spec.ssh_password,
        host_keys_path=layout.known_hosts,
        host_key_alias=vm.name,
    )


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
    vm: VMPlan,
    guest: Guest,
    *,
    host: Host,
    layout: PrefixLayout,
    timeout: float,
    give_up: Callable[[], None],
) -> float:
    """Wait until a login to *vm* works; returns the seconds it took.

    Args:
        vm: Whom to wait for.
        guest: The connection to it.
        host: Where it runs.
        layout: Where its console is logged.
        timeout: Seconds to wait at most.
        give_up: Called now and then; raises to end the wait early.

    Raises:
        WaitTimeoutError: With the stage reached and the console's last lines.
        VMNotRunningError: The VM went off while it was waited for.
        SSHError: Waiting is no use: another host key than the pinned one.
    """
    console_log = layout.path / vm.console_log

    def check() -> None:
        give_up()
        _check_alive(vm, host, console_log)

    try:
        return guest.wait(
            timeout=timeout, explain=lambda: _describe_domain(vm, host), give_up=check
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


def _check_alive(vm: VMPlan, host: Host, console_log: Path) -> None:
    """Return when the VM still runs: one that is off will never answer."""
    if vm.is_remote:
        return
    info = host.hypervisor().find_domain(vm.domain)
    if info is not None and info.state.is_active:
        return
    message = f"{vm.name!r} went off while it booted: {_describe_domain(vm, host)}"
    lines = read_last_lines(console_log)
    if lines:
        message += "; its console ends with:\n" + "\n".join(f"  {line}" for line in lines)
    raise VMNotRunningError(vm.name, message)


def _describe_domain(vm: VMPlan, host: Host) -> str:
    if vm.is_remote:
        return "somebody else runs it (vm-provider: ssh)"
    try:
        info = host.hypervisor().find_domain(vm.domain)
    except LagoError as error:
        return f"libvirt says: {error.message}"
    if info is None:
        return "its domain is gone"
    reason = f" ({info.reason})" if info.reason else ""
    return f"its domain is {info.state.value}{reason}"
