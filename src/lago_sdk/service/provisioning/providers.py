"""The managers of services that we know: systemd, init scripts, and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.state import ServiceAction, ServiceState

if TYPE_CHECKING:
    from lago_sdk.ports import RunInGuest, ServiceProvider
    from lago_sdk.results import CommandResult

_ENGINES = ("podman", "docker")
_LSB_RUNNING = 0
"""Exit code of ``status`` (LSB Core 5.0, 22.2, "Init Script Actions")."""


class Systemd:
    """Units of systemd (systemctl(1)); in a container of the guest where *prefix* enters one."""

    name = "systemd"

    def __init__(self, prefix: tuple[str, ...] = ()) -> None:
        self._systemctl = (*prefix, "systemctl")
        self._test = (*prefix, "test")

    def is_present(self, run: RunInGuest) -> bool:
        """See `ServiceProvider.is_present`; the directory is that of sd_booted(3)."""
        return run([*self._test, "-d", "/run/systemd/system"]).code == 0

    def find_state(self, service: str, run: RunInGuest) -> ServiceState:
        """See `ServiceProvider.find_state`; a unit in a loop of crashes is inactive."""
        asked = ("LoadState", "ActiveState", "SubState")
        words = [word for name in asked for word in ("--property", name)]
        shown = run([*self._systemctl, "show", *words, "--", service]).check().out
        values = dict(line.partition("=")[::2] for line in shown.splitlines())
        active = values.get("ActiveState", "")
        if values.get("LoadState") == "not-found" and active == "inactive":
            return ServiceState.MISSING
        is_active = active in {"active", "reloading", "activating", "deactivating"}
        if is_active and values.get("SubState") != "auto-restart":
            return ServiceState.ACTIVE
        return ServiceState.INACTIVE

    def act(self, action: ServiceAction, service: str, run: RunInGuest) -> CommandResult:
        """See `ServiceProvider.act`."""
        return run([*self._systemctl, action.value, "--", service])

    def explain(self, service: str, run: RunInGuest) -> str:
        """See `ServiceProvider.explain`."""
        options = ("--no-pager", "--full", "--lines=10")
        return run([*self._systemctl, "status", *options, "--", service]).out


class InitScripts:
    """Scripts of ``/etc/init.d`` (LSB Core 5.0, 22.2)."""

    name = "sysvinit"

    def is_present(self, run: RunInGuest) -> bool:
        """See `ServiceProvider.is_present`."""
        return run(["test", "-d", "/etc/init.d"]).code == 0

    def find_state(self, service: str, run: RunInGuest) -> ServiceState:
        """See `ServiceProvider.find_state`."""
        script = f"/etc/init.d/{service}"
        if run(["test", "-x", script]).code != 0:
            return ServiceState.MISSING
        is_running = run([script, "status"]).code == _LSB_RUNNING
        return ServiceState.ACTIVE if is_running else ServiceState.INACTIVE

    def act(self, action: ServiceAction, service: str, run: RunInGuest) -> CommandResult:
        """See `ServiceProvider.act`."""
        return run([f"/etc/init.d/{service}", action.value])

    def explain(self, service: str, run: RunInGuest) -> str:
        """See `ServiceProvider.explain`."""
        return run([f"/etc/init.d/{service}", "status"]).out


class Containers:
    """Containers of podman or docker, and units of systemd inside of them.

    A service is called ``CONTAINER``, or ``CONTAINER/UNIT``.
    """

    name = "systemdcontainer"

    def is_present(self, run: RunInGuest) -> bool:
        """See `ServiceProvider.is_present`."""
        return self._find_engine(run) is not None

    def find_state(self, service: str, run: RunInGuest) -> ServiceState:
        """See `ServiceProvider.find_state`; the units of a stopped container are inactive."""
        container, _, unit = service.partition("/")
        engine = self._get_engine(run)
        shown = run([engine, "inspect", "--format", "{{.State.Running}}", container])
        if shown.code != 0:
            return ServiceState.MISSING
        if shown.out.strip() != "true":
            return ServiceState.INACTIVE
        if not unit:
            return ServiceState.ACTIVE
        return _systemd_in(engine, container).find_state(unit, run)

    def act(self, action: ServiceAction, service: str, run: RunInGuest) -> CommandResult:
        """See `ServiceProvider.act`."""
        container, _, unit = service.partition("/")
        engine = self._get_engine(run)
        if unit:
            return _systemd_in(engine, container).act(action, unit, run)
        return run([engine, action.value, container])

    def explain(self, service: str, run: RunInGuest) -> str:
        """See `ServiceProvider.explain`."""
        container, _, unit = service.partition("/")
        engine = self._get_engine(run)
        if unit:
            return _systemd_in(engine, container).explain(unit, run)
        return run([engine, "logs", "--tail", "10", container]).out

    def _find_engine(self, run: RunInGuest) -> str | None:
        return next((name for name in _ENGINES if run(["which", name]).code == 0), None)

    def _get_engine(self, run: RunInGuest) -> str:
        """The engine there is; the first one, whose absence the guest then tells."""
        return self._find_engine(run) or _ENGINES[0]


def _systemd_in(engine: str, container: str) -> Systemd:
    return Systemd((engine, "exec", container))


def list_providers() -> tuple[ServiceProvider, ...]:
    """Return the providers in the order in which a guest is asked for them."""
    return (Systemd(), InitScripts(), Containers())
