"""The two-VM lab as a newcomer meets it: from the shell, and by the example's script."""

import json
import subprocess
import sys

import pytest

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
