"""A VM provider: `vm-provider: sshd` runs an ssh server of this machine as if it were a VM.

A real one would talk to a cloud or a cluster. Of the VM's `metadata` in the init file it takes
`config`, an sshd_config(5) that says `PidFile`, and `port`.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lago_sdk import LagoError, Machine, VMError, VMPlan, VMSpec, VMState


class Servers:
    """Ssh servers; each is a "machine" that can be started and stopped."""

    name = "sshd"
    has_power = True

    def find_address(self, vm: VMSpec) -> tuple[str, int] | None:
        return "127.0.0.1", int(vm.metadata["port"])

    def find_state(self, vm: VMPlan) -> Machine:
        pid = _find_pid(vm)
        if pid is None:
            return Machine(state=VMState.DOWN)
        return Machine(state=VMState.RUNNING, reason=f"process {pid}")

    def start(self, vm: VMPlan) -> bool:
        if _find_pid(vm) is not None:
            return False
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise LagoError("sshd is not installed", hint="apt-get install openssh-server")
        argv = [program, "-f", str(vm.spec.metadata["config"])]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise VMError(vm.name, f"{vm.name!r} did not start", hint=done.stderr.strip())
        return True

    def stop(self, vm: VMPlan) -> bool:
        pid = _find_pid(vm)
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        return True

    def shutdown(self, vm: VMPlan, *, timeout: float) -> bool:
        if not self.stop(vm):
            return False
        end = time.monotonic() + timeout
        while _find_pid(vm) is not None:
            if time.monotonic() > end:
                raise VMError(vm.name, f"{vm.name!r} did not end within {timeout:g} s")
            time.sleep(0.05)
        return True


def _find_pid(vm: VMPlan) -> int | None:
    """Return the process of the server, as long as there is one."""
    lines = Path(str(vm.spec.metadata["config"])).read_text().splitlines()
    path = next(line.split()[1] for line in lines if line.startswith("PidFile "))
    with suppress(OSError, ValueError):
        pid = int(Path(path).read_text())
        os.kill(pid, 0)
        return pid
    return None
