"""The terminal: a real pseudo terminal on our side, a real sshd on the other."""

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
import time

import pytest
from ssh_servers import make_sshd

from lago_sdk.adapters.ssh.interactive import attach
from lago_sdk.adapters.terminal import Streams
from lago_sdk.errors import SSHError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = make_sshd(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def channel(server):
    if server.process is None:
        server.start()
    guest = server.guest()
    guest.run("true")
    with guest._get_pool().session(5) as (_, opened):
        yield opened
    guest.close()


def set_size(fd, columns, lines):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


class Terminal:
    """The user's side of a pseudo terminal: types, and collects what is shown."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        set_size(self.slave, 91, 33)
        self.shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            self.shown += data

    def expect(self, text):
        end = time.monotonic() + 10
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} is not in {self.shown!r}"
            time.sleep(0.01)

    def streams(self):
        return Streams(stdin=self.slave, stdout=self.slave, stderr=self.slave)

    def close(self):
        os.close(self.slave)
        self._reader.join(5)
        os.close(self.master)


@pytest.fixture
def terminal():
    opened = Terminal()
    yield opened
    opened.close()


def pipe_with(data):
    reader, writer = os.pipe()

    def feed():
        with os.fdopen(writer, "wb") as file:
            file.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return reader


def attach_pipes(channel, command, data):
    """Run with pipes on our side; returns the code, the output and the error output."""
    stdin = pipe_with(data)
    outs = [os.pipe(), os.pipe()]
    collected = [b"", b""]

    def collect(index):
        with os.fdopen(outs[index][0], "rb") as file:
            collected[index] = file.read()

    threads = [threading.Thread(target=collect, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        streams = Streams(stdin=stdin, stdout=outs[0][1], stderr=outs[1][1])
        code = attach(channel, command, guest="web", streams=streams)
    finally:
        os.close(stdin)
        for _, writer in outs:
            os.close(writer)
        for thread in threads:
            thread.join(10)
    return code, *collected


def test_a_command_gets_a_terminal_of_our_size_and_its_code_comes_back(channel, terminal):
    code = attach(channel, "stty size; tty; exit 7", guest="web", streams=terminal.streams())
    assert code == 7
    terminal.expect(b"33 91")
    terminal.expect(b"/dev/pts/")


def test_a_shell_takes_what_is_typed(channel, terminal):
    typing = threading.Timer(0.5, os.write, [terminal.master, b"echo $((6*7))x; exit 3\n"])
    typing.start()
    assert attach(channel, None, guest="web", streams=terminal.streams()) == 3
    typing.join()
    terminal.expect(b"42x")


def test_keys_are_passed_as_they_are(channel, terminal):
    """Control-C is the guest's: ours is a raw terminal, and raises nothing."""

    def type_keys():
        terminal.expect(b"ready")
        os.write(terminal.master, b"\x03")

    typing = threading.Thread(target=type_keys)
    typing.start()
    command = "trap 'echo got INT; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    assert attach(channel, command, guest="web", streams=terminal.streams()) == 5
    typing.join()
    terminal.expect(b"got INT")


def test_a_new_size_is_passed_on(channel, terminal):
    def resize():
        terminal.expect(b"ready")
        set_size(terminal.slave, 120, 50)
        os.kill(os.getpid(), signal.SIGWINCH)

    resizing = threading.Thread(target=resize)
    resizing.start()
    before = signal.getsignal(signal.SIGWINCH)
    size = "$(stty size)"
    command = f"echo ready; until [ \"{size}\" = '50 120' ]; do sleep 0.1; done"
    assert attach(channel, command, guest="web", streams=terminal.streams()) == 0
    resizing.join()
    assert signal.getsignal(signal.SIGWINCH) == before


def test_the_terminal_is_restored(channel, terminal):
    before = termios.tcgetattr(terminal.slave)
    attach(channel, "true", guest="web", streams=terminal.streams())
    assert termios.tcgetattr(terminal.slave) == before


def test_the_terminal_is_restored_when_the_guest_dies(server, channel, terminal):
    before = termios.tcgetattr(terminal.slave)
    killing = threading.Timer(0.5, server.kill)
    killing.start()
    with pytest.raises(SSHError, match="web: the connection was lost"):
        attach(channel, "sleep 20", guest="web", streams=terminal.streams())
    killing.join()
    assert termios.tcgetattr(terminal.slave) == before


def test_it_works_outside_the_main_thread(channel, terminal):
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(
            attach(channel, "exit 4", guest="web", streams=terminal.streams())
        )
    )
    thread.start()
    thread.join(10)
    assert codes == [4]


def test_pipes_stay_pipes(channel):
    code, out, err = attach_pipes(channel, "tty; cat; echo err >&2; exit 2", b"a\x03\x04b\n")
    assert (code, out, err) == (2, b"not a tty\na\x03\x04b\n", b"err\n")


def test_a_shell_reads_its_commands_from_a_pipe(channel):
    code, out, _ = attach_pipes(channel, None, b"echo one\nexit 6\n")
    assert (code, out) == (6, b"one\n")


def test_much_goes_through_pipes_both_ways(channel):
    data = os.urandom(5_000_000)
    code, out, _ = attach_pipes(channel, "cat", data)
    assert code == 0
    assert out == data


def test_input_can_be_a_file(channel, tmp_path):
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    (tmp_path / "out").touch()
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        streams = Streams(stdin=stdin.fileno(), stdout=stdout.fileno(), stderr=stdout.fileno())
        assert attach(channel, "wc -c", guest="web", streams=streams) == 0
    assert (tmp_path / "out").read_text().strip() == "100000"
