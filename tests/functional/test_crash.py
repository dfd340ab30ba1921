"""Killed at any point of ``up``: nothing half-done stays, and ``destroy`` or ``start`` ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from functional.conftest import list_processes
from lago_sdk import Prefix, Workdir

INIT_FILE = Path(__file__).parents[2] / "examples" / "two-vms" / "LagoInitFile"

DRIVER = """
import os, signal, sys
from lago_sdk import Config, Prefix, StageFinished, StageStarted

point, workdir, init_file, host = sys.argv[1:]
end, stage = point.split(" ", 1)

def die_there(event):
    kind = {"before": StageStarted, "after": StageFinished}[end]
    if isinstance(event, kind) and event.stage == stage:
        os.kill(os.getpid(), signal.SIGKILL)

config = Config.load({"host": host})
prefix = Prefix.create(init_file, workdir=workdir, config=config, observer=die_there, keep=True)
prefix.start()
sys.exit("the point was never reached")
"""

POINTS = (
    "before plan",
    "before create keys",
    "before create disks and seeds",
    # The system host is up already: nobody starts it.
    pytest.param("before start host", marks=pytest.mark.private_only),
    "after start nets",
    "before wait for ssh",
)


def run_until(point: str, workdir: Path, host: str) -> None:
    """Bring the lab up in a process that kills itself at *point*."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, point, str(workdir), str(INIT_FILE), host],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def list_survivors(path: Path) -> list[str]:
    """Command lines of processes that belong to the prefix or workdir at *path*."""
    return [command for _, command in list_processes() if str(path) in command]


def kill_supervisor(path: Path) -> None:
    """End the private host of the prefix at *path* as a power cut would."""
    for pid, command in list_processes():
        if "supervisor.py" in command and str(path) in command:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("point", POINTS)
def test_destroy_after_the_death_of_lagoctl(point, tmp_path, host, config, tiny):
    workdir = tmp_path / "w"
    run_until(point, workdir, host)
    prefix = Prefix.open_path(workdir / "default", config=config)
    prefix.destroy()
    assert list_survivors(workdir) == []
    assert not workdir.exists()


@pytest.mark.private_only
@pytest.mark.parametrize("point", POINTS[3:])
def test_destroy_after_the_death_of_everything(point, tmp_path, host, config, tiny):
    workdir = tmp_path / "w"
    run_until(point, workdir, host)
    kill_supervisor(workdir)
    Prefix.open_path(workdir / "default", config=config).destroy()
    assert list_survivors(workdir) == []
    assert not workdir.exists()


@pytest.mark.parametrize("point", ["before create disks and seeds", "before wait for ssh"])
def test_start_finishes_what_was_cut_off(point, tmp_path, host, config, tiny):
    workdir = tmp_path / "w"
    run_until(point, workdir, host)
    prefix = Prefix.open_path(workdir / "default", config=config)
    try:
        prefix.start()
        assert prefix.vms["web"].ssh(["ping", "-c1", "db"]).code == 0
    finally:
        prefix.destroy()


def test_creating_again_replaces_what_was_cut_off(tmp_path, host, config, tiny):
    workdir = tmp_path / "w"
    run_until("before create disks and seeds", workdir, host)
    first = (workdir / "default" / "uuid").read_text()
    with Prefix.create(INIT_FILE, workdir=workdir, config=config) as prefix:
        assert prefix.uuid != first
        assert prefix.is_complete


@pytest.mark.private_only
def test_an_ephemeral_lab_dies_with_its_owner(tmp_path, config, tiny):
    driver = DRIVER.replace("keep=True", "keep=True, ephemeral=True")
    workdir = tmp_path / "w"
    subprocess.run(
        [sys.executable, "-c", driver, "before wait for ssh", workdir, INIT_FILE, "private"],
        timeout=300,
        check=False,
    )
    for _ in range(100):
        if not list_survivors(workdir):
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert list_survivors(workdir) == []
    Workdir.open(workdir).destroy(config=config)
