"""A service provider: programs in `/etc/services.d`, each with a pid file in `/run`."""

from lago_sdk import CommandResult, RunInGuest, ServiceAction, ServiceState

PID = 'pid=$(cat "/run/$1.pid" 2>/dev/null)'


class PidFiles:
    """What a guest without any init system can do."""

    name = "pidfiles"

    def is_present(self, run: RunInGuest) -> bool:
        return run(["test", "-d", "/etc/services.d"]).code == 0

    def find_state(self, service: str, run: RunInGuest) -> ServiceState:
        if run(["test", "-x", f"/etc/services.d/{service}"]).code != 0:
            return ServiceState.MISSING
        is_running = _shell(run, f'{PID} && kill -0 "$pid"', service).code == 0
        return ServiceState.ACTIVE if is_running else ServiceState.INACTIVE

    def act(self, action: ServiceAction, service: str, run: RunInGuest) -> CommandResult:
        if action is ServiceAction.RESTART and self.find_state(service, run) is ServiceState.ACTIVE:
            self.act(ServiceAction.STOP, service, run).check()
        if action is ServiceAction.STOP:
            return _shell(run, f'{PID} && kill "$pid" && rm "/run/$1.pid"', service)
        start = '"/etc/services.d/$1" </dev/null >"/run/$1.log" 2>&1 & echo $! >"/run/$1.pid"'
        return _shell(run, start, service)

    def explain(self, service: str, run: RunInGuest) -> str:
        return run(["cat", f"/run/{service}.log"]).out


def _shell(run: RunInGuest, script: str, service: str) -> CommandResult:
    return run(["sh", "-c", script, "sh", service])
