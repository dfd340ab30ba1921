"""Commands over ssh in a real guest: streams, a terminal, reboots."""

import contextlib
import fcntl
import hashlib
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lago_sdk import (
    CommandError,
    CommandTimeoutError,
    Config,
    Prefix,
    SSHError,
    VMNotRunningError,
)

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
SOLO = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT]}
SPEC = {"domains": {"solo": SOLO}, "nets": {"lan": {"type": "nat", "management": True}}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("ssh") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture
def vm(lab):
    return lab.vms["solo"]


def lagoctl(lab, *words, **options):
    argv = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False, **options)


class Terminal:
    """lagoctl on a terminal of its own."""

    def __init__(self, lab, *words):
        self._master, slave = pty.openpty()
        self.resize(91, 33)
        command = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words]
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "vt220"},
        )
        os.close(slave)
        self.shown = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self._master, 4096):
                self.shown += data
        except OSError:  # the other end is closed
            return

    def resize(self, columns, lines):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text):
        os.write(self._master, text)

    def expect(self, text):
        end = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} is not in {self.shown!r}"
            time.sleep(0.02)


def test_input_and_output_of_any_size(vm, tmp_path):
    data = os.urandom(1 << 20) * 8
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        result = vm.ssh("sha256sum", input=file, timeout=60)
    assert result.check().out.split()[0] == hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256()
    command = "head -c 8000000 /dev/zero"
    result = vm.ssh(command, on_output=lambda _, part: digest.update(part), capture=False)
    assert (result.code, result.out) == (0, "")
    assert digest.digest() == hashlib.sha256(bytes(8_000_000)).digest()


def test_lines_come_while_the_command_runs(vm):
    begin = time.monotonic()
    with vm.ssh_lines("for n in 1 2 3; do echo $n; sleep 1; done; sleep 60") as lines:
        assert [next(lines), next(lines)] == ["1", "2"]
        assert time.monotonic() - begin < 30
    with pytest.raises(CommandError, match="exited with 3: bad"):
        list(vm.ssh_lines("echo one; echo bad >&2; exit 3"))
    assert vm.ssh("echo next").out == "next\n"


def test_a_command_that_nobody_reads_is_ended_with_its_children(vm):
    for line in vm.ssh_lines("(sleep 4711 | cat) & echo on; sleep 4711"):
        assert line == "on"
        break
    vm.wait_for.command("! pgrep -f '^sleep 4711'", timeout=10)


@pytest.mark.root_only
def test_threads_share_a_vm(vm):
    with ThreadPoolExecutor(6) as pool:
        outs = list(pool.map(lambda n: vm.ssh(f"sleep 0.1; echo {n}").out, range(12)))
    assert outs == [f"{n}\n" for n in range(12)]


@pytest.mark.root_only
def test_a_deadline_passes_and_the_vm_can_be_used_on(vm):
    with pytest.raises(CommandTimeoutError) as caught:
        vm.ssh("echo part; sleep 30", timeout=2)
    assert caught.value.out == "part\n"
    assert vm.ssh("echo alive").out == "alive\n"


@pytest.mark.root_only
def test_scripts_have_arguments_and_input_is_theirs(vm, tmp_path):
    script = tmp_path / "script"
    script.write_text('#!/bin/sh -e\nprintf "%s|" "$@"\nexit 4\n')
    result = vm.ssh_script(script, "a b", "*", "")
    assert (result.code, result.out) == (4, "a b|*||")


def test_a_shell_on_a_real_terminal(lab):
    terminal = Terminal(lab, "shell", "solo")
    terminal.expect(b"# ")
    terminal.type(b"echo $TERM; stty size; tty\n")
    terminal.expect(b"vt220")
    terminal.expect(b"33 91")
    terminal.expect(b"/dev/pts/")
    terminal.resize(120, 50)
    terminal.type(b"sleep 100\n")
    time.sleep(0.5)
    terminal.type(b"\x03")
    terminal.type(b"stty size; exit 7\n")
    terminal.expect(b"50 120")
    assert terminal.process.wait(30) == 7


@pytest.mark.root_only
def test_a_shell_in_pipes_is_bytes_and_shown_live(lab):
    done = lagoctl(lab, "shell", "-i", "solo", "cat; echo err >&2; exit 5", input=b"\x00\xff\x03")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"\x00\xff\x03", b"err\n")
    words = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent)]
    words += ["shell", "solo", "echo one; sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"one\n"
        assert process.poll() is None
        process.terminate()


@pytest.mark.root_only
@pytest.mark.private_only
def test_a_reboot_from_inside_is_outlived(vm):
    """The next command waits for the boot, or fails for a clear reason; then all is well."""
    before = vm.ssh("cat /proc/sys/kernel/random/boot_id").out
    with contextlib.suppress(SSHError):  # where the guest is quicker than its answer
        vm.ssh("reboot", timeout=20)
    vm.wait_for.command(f"! grep -q {before.strip()} /proc/sys/kernel/random/boot_id", timeout=90)
    assert vm.ssh("cat /proc/sys/kernel/random/boot_id").out not in {"", before}


@pytest.mark.root_only
def test_a_vm_that_is_off_says_so(lab, vm):
    """The last one: it is not started again."""
    vm.stop()
    with pytest.raises(VMNotRunningError, match="solo"):
        vm.ssh("true")
    done = lagoctl(lab, "copy-to-vm", "solo", "/etc/hostname", "/tmp")
    assert done.returncode == 2
    assert b"hint: start it" in done.stderr
