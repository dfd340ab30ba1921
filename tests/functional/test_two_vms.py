"""The two-VM lab, from the shell and from Python, on whatever host this run is about."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lago_sdk import CommandError, Prefix, PrefixExistsError, VMState

pytestmark = pytest.mark.functional


def test_the_lab_from_the_shell(lagoctl, two_vms):
    first = lagoctl("up", str(two_vms))
    assert "up after" in first.stderr
    again = lagoctl("up", str(two_vms))
    assert "nothing to do: 2 VMs are running" in again.stderr

    status = json.loads(lagoctl("status", "--format", "json").stdout)
    assert "running" in json.dumps(status)
    for vm, other in (("web", "db"), ("db", "web")):
        assert lagoctl("shell", vm, "hostname").stdout.strip() == vm
        lagoctl("shell", vm, "ping", "-c", "1", "-w", "20", other)
    assert lagoctl("shell", "web", "-c", "exit 7", code=None).returncode == 7

    lagoctl("stop", "db")
    assert lagoctl("shell", "db", "true", code=None).returncode == 2
    lagoctl("start")
    assert lagoctl("shell", "db", "hostname").stdout.strip() == "db"

    lagoctl("destroy", "--yes")
    gone = lagoctl("status", code=None)
    assert gone.returncode == 2
    assert "Traceback" not in gone.stderr


def test_the_lab_from_python(make_prefix, two_vms):
    prefix = make_prefix(two_vms)
    assert {vm.state for vm in prefix.vms.values()} == {VMState.DOWN}
    report = prefix.start()
    assert set(report.started) == {"web", "db"}
    assert prefix.start().started == ()

    web, db = prefix.vms["web"], prefix.vms["db"]
    assert web.state is VMState.RUNNING
    assert prefix.nets["lan"].mapping["web"] == web.ip
    result = web.ssh(["echo", "two  words"], timeout=30).check()
    assert result.out == "two  words\n"
    assert web.ssh("cat", input="given").check().out == "given"
    with pytest.raises(CommandError, match="exited with 3"):
        web.ssh("echo oops >&2; exit 3").check()
    db.ssh(["ping", "-c", "1", "-w", "20", "web.lab.test"]).check()
    assert "ready" in web.console_log.read_text(errors="replace")

    db.shutdown(timeout=120)
    assert db.state is not VMState.RUNNING
    assert web.state is VMState.RUNNING
    db.start()
    assert db.ssh("hostname").check().out.strip() == "db"

    prefix.destroy()
    assert not prefix.path.exists()


def test_a_second_process_finds_the_prefix_and_a_name_is_taken_once(make_prefix, two_vms, config):
    prefix = make_prefix(two_vms)
    with pytest.raises(PrefixExistsError):
        make_prefix(two_vms)
    prefix.start(["web"])
    other = Prefix.open(prefix.path.parent, config=config)
    assert other.vms["web"].ssh("hostname").check().out.strip() == "web"
    other.close()


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.5])
def test_what_a_killed_up_leaves_destroy_removes(tmp_path, lagoctl, host, two_vms, seconds):
    """``kill -9`` in the middle of ``up``: destroy finds all that was made."""
    directory = tmp_path / "shell"
    process = subprocess.Popen(
        [sys.executable, "-m", "lago_cli", "up", str(two_vms)],
        cwd=directory,
        env={**os.environ, "LAGO_HOST": host},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if (directory / ".lago").exists():
        lagoctl("destroy", "--yes", "--all-prefixes")
    assert not (directory / ".lago").exists()


@pytest.mark.private_only
def test_the_script_of_the_examples(tmp_path, two_vms, tiny):
    done = subprocess.run(
        [sys.executable, two_vms.parents[1] / "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello from web" in done.stdout
    assert "db reaches web: yes" in done.stdout
    assert list(tmp_path.iterdir()) == []
