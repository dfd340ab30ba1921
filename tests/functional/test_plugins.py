"""The example plugin, installed by pip as a user would, on real VMs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lago_sdk import Config, Prefix, ServiceState, VMState, list_plugins
from unit.adapters.ssh_servers import make_sshd

pytestmark = [pytest.mark.functional, pytest.mark.root_only, pytest.mark.private_only]

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
SERVICE = "#!/bin/sh\nexec sleep 1000\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the package is installed: in a directory of its own, that Python looks into."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(EXAMPLE, source)  # builds leave their traces beside the source
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(target), str(source)], check=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target)
        yield target


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str, installed: Path
) -> Iterator[Prefix]:
    """The lab of the example."""
    workdir = tmp_path_factory.mktemp("plugins") / "workdir"
    config = Config.load({"host": host})
    with Prefix.create(EXAMPLE / "lab.yaml", workdir=workdir, config=config) as prefix:
        prefix.start()
        yield prefix


def run_lagoctl(lab: Prefix, installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=True,
    )


def test_all_of_it_is_found(installed: Path) -> None:
    found = {plugin.name: plugin.problem for plugin in list_plugins()}
    assert found == dict.fromkeys(("measured", "sshd", "pidfiles", "csv", "uptimes"), "")


def test_a_vm_type(lab: Prefix) -> None:
    web = lab.vms["web"]
    assert type(web).__name__ == "MeasuredVM"
    assert web.uptime > 0  # type: ignore[attr-defined] # the plugin's
    assert 0 < web.free_memory < 128 * 1024  # type: ignore[attr-defined] # the plugin's


def test_a_service_provider(lab: Prefix) -> None:
    web = lab.vms["web"]
    service = web.service("sleeper")
    assert service.state is ServiceState.MISSING
    web.ssh("mkdir /etc/services.d && cat > /etc/services.d/sleeper", input=SERVICE).check()
    web.ssh("chmod +x /etc/services.d/sleeper").check()
    assert service.state is ServiceState.INACTIVE
    service.start()
    assert service.state is ServiceState.ACTIVE
    service.restart()
    assert service.is_alive()
    service.stop()
    assert service.state is ServiceState.INACTIVE


def test_an_output_and_a_command(lab: Prefix, installed: Path) -> None:
    rows = run_lagoctl(lab, installed, "-f", "csv", "status").stdout.splitlines()
    assert "Prefix/VMs/web/status,running" in rows
    shown = run_lagoctl(lab, installed, "uptimes", "web").stdout
    assert shown.startswith("web: ")
    assert run_lagoctl(lab, installed, "uptimes", "-f", "csv").stdout.startswith("web,")


def test_a_vm_provider(tmp_path: Path, host: str, installed: Path) -> None:
    server = make_sshd(tmp_path)  # the provider starts it, from its configuration
    far = {
        "vm-provider": "sshd",
        "ssh-key": str(tmp_path / "id"),
        "metadata": {"config": str(tmp_path / "config"), "port": server.port},
    }
    spec = {"domains": {"far": far}, "nets": {}}
    config = Config.load({"host": host})
    with Prefix.create(spec, workdir=tmp_path / "workdir", config=config) as prefix:
        machine = prefix.vms["far"]
        assert machine.state is VMState.DOWN
        try:
            assert prefix.start().started == ("far",)
            assert machine.state is VMState.RUNNING
            assert machine.ssh("echo hi").out == "hi\n"
            assert prefix.start().already_running == ("far",)
            assert prefix.shutdown(["far"]) == ("far",)
            assert machine.state is VMState.DOWN
            assert prefix.stop() == ()
        finally:
            machine.stop()
