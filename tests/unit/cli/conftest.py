"""A command line whose library is a fake, and a home of its own."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import lago_sdk
from lago_cli.app import build_app
from lago_sdk import NetState, NetStatus, NicStatus, PrefixStatus, VMState, VMStatus
from lago_sdk.errors import PrefixNotFoundError
from lago_sdk.results import CommandResult, Road
from lago_sdk.service.power.start import StartReport
from lago_sdk.service.store import PrefixRecord


class FakeConsoleHandle:
    def __init__(self, log):
        self.log = log

    def follow(self):
        yield "followed"


class FakeVM:
    def __init__(self, name):
        self.name = name
        self.calls = []
        self.code = 0
        self.log = Path("console.log")

    def ssh(self, command, *, input=None, on_output, capture):  # noqa: A002
        assert not capture
        self.calls.append(("ssh", command, None if input is None else input.read()))
        on_output("out", b"out\n")
        on_output("err", b"err\n")
        return CommandResult(command=command, code=self.code, out="", err="")

    def ssh_script(self, path, *, on_output, capture):
        assert not capture
        self.calls.append(("script", str(path)))
        on_output("out", b"script\n")
        return CommandResult(command=str(path), code=self.code, out="", err="")

    def copy_to(self, source, target, *, follow=False):
        self.calls.append(("copy to", source, target, follow))
        return ()

    def copy_from(self, source, target, *, follow=False):
        self.calls.append(("copy from", source, target, follow))
        return ()

    @property
    def console(self):
        return FakeConsoleHandle(self.log)

    def run(self, command, *, via="auto", input=None):  # noqa: A002
        self.calls.append(("run", command, via, input))
        return CommandResult(
            command=str(command), code=self.code, out="out\n", err="", via=Road.SSH
        )

    def interactive_console(self, *, force=False):
        self.calls.append(("console", force))
        return 0

    def interactive_ssh(self, command=None):
        self.calls.append(("interactive", command))
        return self.code


class FakePrefix:
    """Records what the command line asks for."""

    is_complete = True

    def __init__(self, path, name="default"):
        self.path = Path(path) / name
        self.name = name
        self.uuid = "0" * 32
        self.spec = "spec"
        self.record = PrefixRecord(host="private", run_dir="/run/x")
        self.checkpoint = None
        self.calls = []
        self.running = set()
        self.error = None
        self.vms = {name: FakeVM(name) for name in ("web-1", "web-2", "db")}

    def _do(self, *call):
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def start(self, vms=None, *, wait=True):
        self._do("start", vms, *([] if wait else ["no wait"]))
        wanted = tuple(vms or self.vms)
        new = tuple(name for name in wanted if name not in self.running)
        old = tuple(name for name in wanted if name in self.running)
        self.running |= set(wanted)
        return StartReport(started=new, already_running=old, seconds=1.5)

    def stop(self, vms=None):
        self._do("stop", vms)
        stopped = tuple(sorted(self.running & set(vms or self.vms)))
        self.running -= set(stopped)
        return stopped

    def shutdown(self, vms=None, *, reboot=False, timeout=None):
        self._do("shutdown", vms, timeout, *(["reboot"] if reboot else []))
        return tuple(vms or self.vms)

    def reboot(self, vms=None, *, timeout=None, wait=True, force=False):
        self._do("reboot", vms, timeout, wait, force)
        return tuple(vms or self.vms)

    def suspend(self, vms=None):
        self._do("suspend", vms)
        return tuple(vms or self.vms)

    def resume(self, vms=None):
        self._do("resume", vms)
        return ()

    def start_net(self, name):
        self._do("start_net", name)
        return True

    def stop_net(self, name):
        self._do("stop_net", name)
        return False

    def destroy(self):
        self._do("destroy")

    def status(self):
        self._do("status")
        return make_status(str(self.path))


class FakeLibrary:
    """Stands for the classes of the library that act on the world."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.prefixes = {}
        self.created = []
        self.cached = []
        self.opened = []

    def add(self, name="default", workdir=None):
        prefix = FakePrefix(workdir or self.tmp_path / ".lago", name)
        self.prefixes[name] = prefix
        return prefix

    def open(self, workdir=None, name="current", *, config=None, observer=None):
        self.opened.append((workdir, name, config))
        found = self.prefixes.get("default" if name == "current" else name)
        if found is None:
            raise PrefixNotFoundError(f"there is no prefix {name!r}", hint="make one")
        return found

    def create(
        self, spec, *, workdir=None, name="default", config=None, observer=None, cache=False
    ):
        self.created.append((str(spec), workdir, name, config))
        self.cached.append(cache)
        return self.add(name, workdir)


def make_status(path="/lab/default"):
    nic = NicStatus(name="eth0", net="lan", mac="54:52:c0:a8:c8:02", ip="192.168.200.2")
    bare = NicStatus(name="eth1", net="raw", mac="54:52:00:00:00:01")
    return PrefixStatus(
        path=path,
        uuid="f" * 32,
        name="default",
        host="private",
        nets=(
            NetStatus(
                name="lan",
                network="ffff-lan",
                state=NetState.UP,
                management=True,
                gateway="192.168.200.1",
                subnet="192.168.200.0/24",
            ),
        ),
        vms=(
            VMStatus(
                name="web",
                domain="ffffffff-web",
                state=VMState.RUNNING,
                ip="192.168.200.2",
                nics=(nic, bare),
                snapshots=("a", "b"),
                metadata={"role": "front", "ports": [80, 443]},
            ),
        ),
    )


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    for name in ("CACHE_HOME", "DATA_HOME", "STATE_HOME", "CONFIG_HOME", "CONFIG_DIRS"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr("lago_sdk.adapters.settings._SYSTEM_FILE", tmp_path / "etc/lago.conf")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def library(tmp_path, monkeypatch):
    fake = FakeLibrary(tmp_path)
    monkeypatch.setitem(lago_sdk.__dict__, "Prefix", fake)
    return fake


@pytest.fixture
def lagoctl():
    def run(*words, **more):
        return CliRunner().invoke(build_app(), list(words), prog_name="lagoctl", **more)

    return run


@pytest.fixture
def terminal(monkeypatch):
    """Make standard input, output and error look like a terminal without colors."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: True)
