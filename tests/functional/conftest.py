"""Real VMs: where they run, the template they boot, and the promise that nothing is left.

Outside of a sandbox tests run on private hosts, inside on the system libvirtd of the sandbox
(see sandbox.py). What is missing on the machine makes them fail, not skip.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functional.sandbox import is_inside
from lago_sdk import Config, Prefix, build_template

EXAMPLES = Path(__file__).parents[2] / "examples"

PrefixMaker = Callable[..., Prefix]
Lagoctl = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root_only: needs to be root")
    config.addinivalue_line("markers", "private_only: is not about the system host")
    config.addinivalue_line("markers", "system_only: is only about the system host")
    config.addinivalue_line("markers", "by_hand: takes minutes; runs when asked for by -m by_hand")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is about another host or user than this run's, or has to be asked for."""
    unfit = {"private_only" if is_inside() else "system_only"}
    if os.geteuid() != 0:
        unfit.add("root_only")
    if "by_hand" not in config.option.markexpr:
        unfit.add("by_hand")
    out = [item for item in items if any(item.get_closest_marker(name) for name in unfit)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session", params=["system" if is_inside() else "private"])
def host(request: pytest.FixtureRequest) -> str:
    """The kind of host that this run's prefixes are on."""
    return str(request.param)


@pytest.fixture(scope="session")
def base_config() -> Config:
    """Settings of the environment, as the scripts set them."""
    return Config.load()


@pytest.fixture(scope="session")
def tiny(base_config: Config) -> str:
    """The template that tests boot; built where the store lacks it, or has an older one."""
    build_template("tiny", config=base_config)
    return "tiny"


@pytest.fixture(scope="session")
def debian(base_config: Config) -> str:
    """A template with systemd, cloud-init and the guest agent, for what tiny has not.

    Building it takes a minute once, booting it half a minute: share `debian_lab` where you can.
    """
    build_template("debian-12", config=base_config)
    return "debian-12"


@pytest.fixture(scope="session")
def debian_lab(
    tmp_path_factory: pytest.TempPathFactory, host: str, debian: str
) -> Iterator[Prefix]:
    """One running VM of that template, ``server``, for all tests that leave it as it was.

    It has a nic on each of two nets, and a disk that is larger than the template's.
    """
    disk = {"type": "template", "name": "root", "dev": "vda", "template_name": debian}
    nics = [{"net": "lan"}, {"net": "back"}]
    server = {"memory": 512, "vcpu": 2, "nics": nics, "disks": [{**disk, "size": "6G"}]}
    nets = {"lan": {"type": "nat", "management": True}, "back": {"type": "isolated"}}
    spec = {"domains": {"server": server}, "nets": nets}
    workdir = tmp_path_factory.mktemp("debian") / "workdir"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture
def config(host: str) -> Config:
    """Settings of one test."""
    return Config.load({"host": host})


@pytest.fixture
def two_vms() -> Path:
    """The example's init file: web and db on one NAT net."""
    return EXAMPLES / "two-vms" / "LagoInitFile"


@pytest.fixture
def make_prefix(tmp_path: Path, config: Config, tiny: str) -> Iterator[PrefixMaker]:
    """Make prefixes in workdirs of the test's own; all are destroyed after it."""
    made: list[Prefix] = []

    def make(spec: object, *, name: str = "default", **options: object) -> Prefix:
        settings = {"workdir": tmp_path / "workdir", "config": config, "name": name, **options}
        prefix = Prefix.create(spec, **settings)  # type: ignore[arg-type]
        made.append(prefix)
        return prefix

    yield make
    for prefix in reversed(made):
        if prefix.path.exists():
            prefix.destroy()


@pytest.fixture
def lagoctl(tmp_path: Path, host: str, tiny: str) -> Iterator[Lagoctl]:
    """Run lagoctl in a directory of the test's own; what it made is destroyed after the test."""
    directory = tmp_path / "shell"
    directory.mkdir()
    environ = {**os.environ, "LAGO_HOST": host}

    def run(*arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lago_cli", *arguments],
            cwd=directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    yield run
    if (directory / ".lago").exists():
        run("destroy", "--yes", "--all-prefixes")


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail where a process of a test's prefix outlives the session."""
    base = f"{tmp_path_factory.getbasetemp()}/"
    yield
    left = {pid: command for pid, command in list_processes() if base in command}
    assert left == {}, "processes of tests are still running"


def list_processes() -> Iterator[tuple[int, str]]:
    """Other processes that we may see, with their command lines."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        yield int(entry.name), b" ".join(words).decode(errors="replace")
