"""Power, reboots, pauses, and what a lab survives: on real guests and real daemons.

An ordinary user repeats what happens to hosts: their namespaces are others than root's.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from functional.conftest import list_processes
from lago_sdk import (
    Config,
    HostError,
    NetInUseError,
    NetState,
    Prefix,
    VMError,
    VMNotRunningError,
    VMState,
)

SMALL = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}]}
ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
POWER_BUTTON = "/etc/acpi/PWRF/00000080"
"""The script by which the tiny guest obeys the power button."""


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A sparse disk image of 64 MB; where we may mount, on a file system that has 8 MB."""
    directory = tmp_path_factory.mktemp("small")
    is_root = os.geteuid() == 0
    if is_root:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", directory]
        subprocess.run(mount, check=True)
    image = directory / "data.raw"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    yield image
    if is_root:
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny, small_disk):
    data = {"type": "file", "path": str(small_disk), "name": "data", "dev": "vdb", "format": "raw"}
    spec = {
        "domains": {
            "web": {**SMALL, "disks": [ROOT]},
            "db": {**SMALL, "disks": [ROOT, data]},
        },
        "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}},
    }
    config = Config.load({"host": host})
    workdir = tmp_path_factory.mktemp("lab") / "w"
    with Prefix.create(spec, workdir=workdir, config=config) as prefix:
        prefix.start()
        prefix.vms["web"].ssh("echo kept > /root/note; sync").check()
        yield prefix


@pytest.fixture
def lagoctl(lab):
    """Run lagoctl on the lab."""

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "lago_cli", "-w", lab.path.parent, *words],
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == code, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def boot_id(lab, vm):
    return lab.vms[vm].ssh("cat /proc/sys/kernel/random/boot_id", timeout=30).check().out


def boot_ids(lab):
    return {name: boot_id(lab, name) for name in lab.vms}


def states(lab):
    return {vm.name: vm.state for vm in lab.status().vms}


@contextmanager
def within(seconds):
    """What is told at once does not wait for a time-out."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


# ------------------------------------------------------------------ pauses


@pytest.mark.root_only
def test_a_suspended_vm_says_so_at_once_and_runs_on(lab):
    before = boot_ids(lab)
    web = lab.vms["web"]
    assert lab.suspend("web") == ("web",)
    assert lab.suspend("web") == ()
    (told,) = [vm for vm in lab.status().vms if vm.name == "web"]
    assert (told.state, told.reason) == (VMState.PAUSED, "by user")
    assert told.hint == "resume it: lagoctl resume web"
    for use in (lambda: web.ssh("true"), web.shutdown, web.reboot):
        with within(5), pytest.raises(VMNotRunningError, match=r"paused \(by user\)") as caught:
            use()
        assert "lagoctl resume web" in caught.value.hint
    report = lab.start()
    assert (report.paused, report.already_running, report.started) == (("web",), ("db",), ())
    assert web.state is VMState.PAUSED
    assert lab.resume() == ("web",)
    assert lab.resume() == ()
    assert boot_ids(lab) == before


@pytest.mark.root_only
def test_a_vm_whose_disk_is_full_is_told_from_one_that_we_paused(lab, small_disk):
    db = lab.vms["db"]
    # Later and in the background: the VM may stand still before the command has ended.
    db.ssh("(sleep 1; dd if=/dev/zero of=/dev/vdb bs=1M count=20; sync) >/dev/null 2>&1 &").check()
    assert wait_until(lambda: db.state is VMState.PAUSED)
    with pytest.raises(VMNotRunningError, match="input/output error") as caught:
        db.ssh("true")
    assert "free some space" in caught.value.hint
    with pytest.raises(VMError, match=r"paused again at once: paused \(input/output error"):
        db.resume()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk.parent], check=True)
    db.resume()
    assert db.ssh("sync; echo well", timeout=30).check().out == "well\n"


# ------------------------------------------------------------------ reboots


@pytest.mark.root_only
def test_a_reboot_ends_with_the_new_system(lab):
    before = boot_ids(lab)
    assert lab.reboot("web") == ("web",)
    after = boot_ids(lab)
    assert after["web"] != before["web"]
    assert after["db"] == before["db"]
    assert lab.vms["web"].ssh("cat /root/note").check().out == "kept\n"


@pytest.mark.root_only
def test_a_reset_asks_nobody_and_a_paused_vm_runs_on_after_it(lab):
    before = boot_ids(lab)
    db = lab.vms["db"]
    db.suspend()
    db.reset()
    after = boot_ids(lab)
    assert after["db"] != before["db"]
    assert after["web"] == before["web"]


@pytest.mark.root_only
def test_a_guest_that_ignores_the_button_runs_on_and_is_told(lab):
    before = boot_ids(lab)
    web = lab.vms["web"]
    web.ssh(f"chmod -x {POWER_BUTTON}").check()
    with pytest.raises(VMError, match=r"did not reboot within 1 s; it runs on") as caught:
        web.reboot(timeout=1)
    assert caught.value.hint == "press its reset button: lagoctl reboot --force web"
    with pytest.raises(VMError, match="did not power off within 1 s") as caught:
        web.shutdown(timeout=1)
    assert caught.value.hint == "power it off at once: lagoctl stop web"
    assert boot_ids(lab) == before
    web.ssh(f"chmod +x {POWER_BUTTON}").check()
    # The reboot that it ignored does not make a reboot of its power-off.
    web.shutdown(timeout=60)
    assert not web.state.is_active
    assert lab.nets["lan"].state is NetState.UP


@pytest.mark.root_only
def test_a_start_that_does_not_wait(lab):
    web = lab.vms["web"]
    web.start(wait=False)
    assert web.state is VMState.RUNNING
    web.wait_for.ssh()


# ------------------------------------------------------------------ nets, partial starts


@pytest.mark.root_only
def test_a_vm_whose_guest_panicked_has_crashed_and_starts_again(lab):
    web = lab.vms["web"]
    web.ssh("(sleep 0.5; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &").check()
    assert wait_until(lambda: states(lab)["web"] is VMState.CRASHED)
    assert states(lab)["db"] is VMState.RUNNING
    assert "sysrq_handle_crash" in web.console_log.read_text()
    lab.start("web")
    web.ssh("true").check()


@pytest.mark.root_only
def test_a_vm_whose_qemu_is_killed_has_crashed_and_the_others_run_on(lab):
    (pid,) = find_qemus(lab, "web")
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: states(lab)["web"] is VMState.CRASHED)
    assert states(lab)["db"] is VMState.RUNNING
    with pytest.raises(VMNotRunningError, match=r"it is crashed .*QEMU was killed") as caught:
        lab.vms["web"].ssh("true")
    assert "start it again: lagoctl start web" in caught.value.hint


@pytest.mark.root_only
def test_a_net_that_is_used_stays_up(lab):
    with pytest.raises(NetInUseError, match="'lan' is not stopped: db would lose it"):
        lab.nets["lan"].stop()
    assert lab.nets["lan"].state is NetState.UP


@pytest.mark.root_only
def test_a_start_that_fails_takes_back_only_what_it_did(lab):
    before = boot_id(lab, "db")
    image = lab.path / "images" / "web_root.qcow2"
    hidden = image.with_suffix(".away")
    image.rename(hidden)
    with pytest.raises(Exception, match=r"web_root\.qcow2"):
        lab.start()
    assert not lab.vms["web"].state.is_active
    assert lab.nets["lan"].state is NetState.UP
    assert boot_id(lab, "db") == before
    hidden.rename(image)
    assert lab.start().started == ("web",)


# ------------------------------------------------------------------ mistakes


VERBS = ("start", "stop", "shutdown", "reboot", "suspend", "resume", "shell")


@pytest.mark.root_only
@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_vm_is_a_sentence_and_a_hint(lab, lagoctl, verb):
    words = [verb, "wbe", *(["true"] if verb == "shell" else [])]
    done = lagoctl(*words, code=2)
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert "'wbe'" in error
    assert "web" in hint
    assert set(states(lab).values()) == {VMState.RUNNING}


@pytest.mark.root_only
def test_what_was_done_is_told(lagoctl):
    assert lagoctl("suspend", "web").stderr.endswith("suspended web\n")
    assert lagoctl("suspend", "web").stderr == "nothing to do: none of them is running\n"
    shown = lagoctl("status", "-f", "flat")
    assert "VMs/web/status: paused" in shown.stdout
    assert "warning: web is paused (by user): resume it: lagoctl resume web" in shown.stderr
    assert "hint: resume it: lagoctl resume web" in lagoctl("shell", "web", "true", code=2).stderr
    assert "web is paused (by user), and left so" in lagoctl("start").stderr
    assert lagoctl("resume").stderr.endswith("resumed web\n")
    assert lagoctl("resume").stderr == "nothing to do: none of them is paused\n"


@pytest.mark.root_only
@pytest.mark.parametrize("verb", ["reboot", "suspend", "resume", "shell"])
def test_a_stopped_vm_is_a_sentence_and_a_hint(lab, lagoctl, verb):
    lab.stop("web")
    done = lagoctl(verb, "web", *(["true"] if verb == "shell" else []), code=2)
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: 'web' is not running: it is shut off")
    assert hint == "hint: start it: lagoctl start web"


@pytest.mark.root_only
@pytest.mark.parametrize("verb", ["stop", "shutdown"])
def test_a_stopped_vm_is_none_of_the_trouble_of_who_stops_it(lagoctl, verb):
    assert lagoctl(verb, "web").stderr == "nothing to do: none of them is running\n"


# ------------------------------------------------------------------ deaths of daemons


@pytest.mark.private_only
def test_a_private_host_whose_libvirtd_died_is_unknown_and_mended(lab, lagoctl):
    lab.stop("web")
    before = boot_id(lab, "db")
    kill_libvirtd(lab)
    status = lab.status()
    assert {vm.state for vm in status.vms} == {VMState.UNKNOWN}
    assert {net.state for net in status.nets} == {NetState.UNKNOWN}
    assert "libvirtd has ended with signal 9" in status.problem
    assert "lagoctl start" in status.hint
    check_that_verbs_fail(lab, lagoctl)
    # Who has a connection to a guest can go on with it.
    assert lab.vms["db"].ssh("echo alive").check().out == "alive\n"
    report = lab.start()
    assert (report.started, report.already_running) == (("web",), ("db",))
    assert boot_id(lab, "db") == before


@pytest.mark.system_only
def test_a_system_host_whose_libvirtd_died_is_unknown_and_comes_back(lab, lagoctl):
    lab.stop("web")
    before = boot_id(lab, "db")
    kill_daemon("libvirtd")
    status = lab.status()
    assert {vm.state for vm in status.vms} == {VMState.UNKNOWN}
    assert status.problem
    assert "libvirtd" in status.hint
    check_that_verbs_fail(lab, lagoctl, "start", "stop", "destroy")
    start_libvirtd()
    assert states(lab)["db"] is VMState.RUNNING
    assert boot_id(lab, "db") == before


def check_that_verbs_fail(lab, lagoctl, *more):
    """Every verb is a sentence and a hint, soon, and changes nothing."""
    for verb in (lab.shutdown, lab.reboot, lab.suspend, lab.resume, lab.nets["lan"].stop):
        with within(10), pytest.raises(HostError) as caught:
            verb()
        assert caught.value.hint
    for words in (["reboot", "web"], ["stop", "web"], *([word] for word in more)):
        if words == ["destroy"]:
            words.append("--yes")
        done = lagoctl(*words, code=2)
        assert "Traceback" not in done.stderr
        assert done.stderr.count("error: ") == 1
        assert "hint: " in done.stderr
    assert "VMs/web/status: unknown" in lagoctl("status", "-f", "flat").stdout


@pytest.mark.private_only
def test_a_private_host_whose_sockets_are_lost_is_unknown_and_brought_up_anew(lab):
    shutil.rmtree(lab.record.run_dir)
    newcomer = Prefix.open_path(lab.path)
    status = newcomer.status()
    assert {vm.state for vm in status.vms} == {VMState.UNKNOWN}
    assert "control socket" in status.problem
    before = find_qemus(lab, "db")
    assert newcomer.start("db").started == ("db",)
    newcomer.close()
    assert set(before).isdisjoint(find_qemus(lab, "db"))
    assert states(lab) == {"web": VMState.SHUT_OFF, "db": VMState.RUNNING}


@pytest.mark.private_only
def test_a_lab_comes_back_after_a_restart_of_the_machine(lab):
    for pid, command in list_processes():
        if "supervisor.py" in command and str(lab.path) in command:
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lab.context.world.host.is_ended)
    shutil.rmtree(lab.record.run_dir)
    assert not find_qemus(lab, "db")
    assert set(states(lab).values()) == {VMState.DOWN}
    assert lab.status().problem == ""
    assert set(lab.start().started) == {"web", "db"}
    assert lab.vms["web"].ssh("cat /root/note").check().out == "kept\n"


@pytest.mark.system_only
def test_a_lab_on_the_system_host_comes_back_after_a_restart_of_the_machine(lab):
    for name in ("libvirtd", "qemu-system-x86", "dnsmasq"):
        kill_daemon(name)
    subprocess.run(["ip", "link", "del", lab.nets["lan"].plan.bridge], check=True)
    shutil.rmtree("/run/libvirt")
    Path("/run/libvirt").mkdir()
    start_libvirtd()
    assert set(states(lab).values()) == {VMState.SHUT_OFF}
    assert set(lab.start().started) == {"web", "db"}
    assert lab.vms["web"].ssh("cat /root/note").check().out == "kept\n"


@pytest.mark.private_only
def test_what_a_broken_host_still_runs_ends_by_stop(lab):
    kill_libvirtd(lab)
    assert lab.stop() == ("web", "db")
    assert set(states(lab).values()) == {VMState.DOWN}
    assert not any(find_qemus(lab, name) for name in lab.vms)


def wait_until(happened, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.05)
    return False


def find_qemus(lab, vm):
    """Pids of the QEMU of a VM."""
    wanted = f"guest={lab.plan.get_vm(vm).domain},"
    return [pid for pid, command in list_processes() if wanted in command]


def kill_libvirtd(lab):
    """End the libvirtd of a private host by the pid that it has inside."""
    host = lab.context.world.host
    host.run(["kill", "-9", host.run(["cat", "/run/libvirtd.pid"]).out.strip()])
    assert wait_until(lambda: not host.is_up())


def kill_daemon(name):
    """End the sandbox's processes of that name; it has a PID namespace of its own."""
    pids = [pid for pid, _ in list_processes() if read_name(pid) == name]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(read_name(pid) == name for pid in pids))


def read_name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def start_libvirtd():
    """Start the sandbox's libvirtd again, and wait until it takes connections."""
    daemon = shutil.which("libvirtd", path=f"{os.environ['PATH']}:/usr/sbin")
    subprocess.run([daemon, "-d", "-f", "/etc/libvirt/libvirtd.conf"], check=True)
    listening = Path("/run/libvirt/libvirt-sock")
    assert wait_until(listening.exists)
