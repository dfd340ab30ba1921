"""The proxy: how it connects programs to what only the supervisor of a private host can reach."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress

import pytest

from lago_sdk import proxy

UUID = "0123456789abcdef" * 2


class Supervisor(threading.Thread):
    """Answers as the supervisor of a private host does, with sockets of this machine."""

    def __init__(self, path, uuid=UUID):
        super().__init__(daemon=True)
        self.uuid = uuid
        self.refusal = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(os.fspath(path))
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(4096):
                    self.answer(client, json.loads(data))

    def answer(self, client, request):
        if request["do"] == "ping":
            status = {"pid": 1, "uuid": self.uuid, "state": "ready"}
            client.send(json.dumps(status).encode())
        elif self.refusal is not None:
            client.send(json.dumps({"error": self.refusal}).encode())
        else:
            with socket.socket(request["family"], request["type"], request["proto"]) as new:
                socket.send_fds(client, [b"{}"], [new.fileno()])

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()


class Guest(threading.Thread):
    """Says hello, then sends back what it is sent, in capitals."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self.listener.getsockname()[1])
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with connection, suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(b"hello ")
            while data := connection.recv(65536):
                connection.sendall(data.upper())

    def end(self):
        self.listener.close()


@pytest.fixture
def prefix(tmp_path):
    """A prefix with spaces in its path, as far as the proxy looks at it."""
    path = tmp_path / "my lab"
    path.mkdir()
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    (path / "metadata").write_text(json.dumps({"host": "private", "run_dir": str(run_dir)}))
    (path / "uuid").write_text(f"{UUID}\n")
    return path


@pytest.fixture
def supervisor(prefix, tmp_path):
    supervisor = Supervisor(tmp_path / "run" / "control")
    yield supervisor
    supervisor.end()


@pytest.fixture
def guest():
    guest = Guest()
    yield guest
    guest.end()


def spawn(*words, **options):
    program = [sys.executable, "-I", "-S", proxy.__file__, *map(str, words)]
    return subprocess.Popen(program, cwd="/", stderr=subprocess.PIPE, **options)


def fail(*words):
    """Run it to its failure; returns the sentence it tells."""
    with spawn(*words, stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == b""
    assert err.startswith(b"lago: ")
    assert err.count(b"\n") == 1
    return err.decode().removeprefix("lago: ")


def test_ssh_is_handed_a_connected_socket(prefix, supervisor, guest):
    ours, its = socket.socketpair()
    with ExitStack() as stack:
        stack.enter_context(ours)
        process = stack.enter_context(
            spawn(prefix, "127.0.0.1", guest.port, "web", stdin=its, stdout=its)
        )
        its.close()
        data, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
        assert data == b"\0"
        assert process.wait(timeout=20) == 0
        connection = stack.enter_context(closing(socket.socket(fileno=descriptor)))
        assert connection.gettimeout() is None
        assert os.get_blocking(descriptor)
        connection.sendall(b"there")
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            assert answer.read() == b"hello THERE"


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_a_pipe_is_relayed_to(size, prefix, supervisor, guest):
    with spawn(
        prefix, "127.0.0.1", guest.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        out, err = process.communicate(b"x" * size, timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out == b"hello " + b"X" * size


def test_a_socket_is_relayed_to_when_asked_for(prefix, supervisor, guest):
    ours, its = socket.socketpair()
    with (
        ours,
        spawn("--relay", prefix, "127.0.0.1", guest.port, stdin=its, stdout=its) as process,
    ):
        its.close()
        ours.sendall(b"there")
        ours.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answer:
            assert answer.read() == b"hello THERE"
        assert process.wait(timeout=20) == 0


def test_a_reader_that_has_gone_ends_it_quietly(prefix, supervisor, guest):
    process = spawn(prefix, "127.0.0.1", guest.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        process.stdout.close()
        process.stdin.write(b"there")
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""


def test_a_prefix_that_is_down_is_told_with_the_way_to_start_it(prefix, tmp_path):
    hint = f"start it: lagoctl -w {tmp_path} -P 'my lab' start"
    assert hint in fail(prefix, "192.0.2.1", "22", "web")
    (tmp_path / "run").rmdir()
    assert hint in fail(prefix, "192.0.2.1", "22", "web")


def test_a_guest_that_refuses_is_told(prefix, supervisor):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    told = fail(prefix, "127.0.0.1", port, "web")
    assert f"'web' (127.0.0.1 port {port}) cannot be reached: Connection refused" in told
    assert "'my lab' status" in told


def test_the_run_directory_has_to_be_ours_alone(prefix, supervisor, tmp_path):
    (tmp_path / "run").chmod(0o755)
    assert "only its owner can enter" in fail(prefix, "127.0.0.1", "22")


def test_the_host_has_to_be_of_the_prefix(prefix, supervisor):
    supervisor.uuid = "f" * 32
    assert "is another one's" in fail(prefix, "127.0.0.1", "22")


def test_what_the_host_refuses_is_told(prefix, supervisor):
    supervisor.refusal = "no sockets left"
    assert "the private host refused: no sockets left" in fail(prefix, "127.0.0.1", "22")


def test_a_directory_that_is_no_prefix_is_told(tmp_path):
    assert f"there is no prefix at {str(tmp_path)!r}" in fail(tmp_path, "127.0.0.1", "22")


@pytest.mark.parametrize("words", [[], ["/lab"], ["/lab", "::1", "x"], ["a", "b", "1", "c", "d"]])
def test_wrong_words_are_told(words):
    assert fail(*words).startswith("usage: ")


def test_its_messages_are_no_longer_than_the_supervisor_takes():
    from lago_sdk.adapters.hosts import rundir, supervisor

    assert proxy._MAX_MESSAGE == supervisor.MAX_MESSAGE
    assert rundir.CONTROL_SOCKET == "control"
