"""Streams of commands in guests, against a real OpenSSH and a real dropbear on loopback."""

import hashlib
import io
import time

import pytest
from ssh_servers import make_dropbear, make_sshd

from lago_sdk.errors import CommandTimeoutError, SSHError
from lago_sdk.ports import Guest, GuestStream
from lago_sdk.testing import FakeGuest


@pytest.fixture(scope="module", params=[make_sshd, make_dropbear], ids=["openssh", "dropbear"])
def server(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def guest(server):
    if server.process is None:
        server.start()
    opened = server.guest()
    yield opened
    opened.close()


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_both_guests_stream():
    def takes(guest: Guest) -> GuestStream:
        with guest.stream("x") as stream:
            return stream

    fake = FakeGuest()
    fake.answer_stream("x", b"\xff\x00", code=2, err="bad")
    assert takes(fake).read() == b"\xff\x00"
    with fake.stream("x", input=io.BytesIO(b"abc")) as stream:
        assert stream.code is None
        assert (stream.read(1), stream.read(5), stream.read(5)) == (b"\xff", b"\x00", b"")
        assert (stream.code, stream.err) == (2, "bad")
    assert fake.calls[-1].input == b"abc"
    assert stream.is_closed


def test_output_is_bytes_and_the_code_comes_at_the_end(guest):
    with guest.stream(r"printf '\377\000a'; echo bad >&2; exit 3") as stream:
        assert stream.code is None
        assert stream.read() == b"\xff\x00a"
        assert (stream.code, stream.err) == (3, "bad\n")
        assert stream.read(10) == b""


def test_output_is_there_as_it_comes(guest):
    with guest.stream("echo one; sleep 1; echo two") as stream:
        begin = time.monotonic()
        assert stream.read(100) == b"one\n"
        assert time.monotonic() - begin < 0.9
        assert stream.read(2) == b"tw"
        assert stream.read() == b"o\n"


def test_much_goes_through_byte_for_byte(guest):
    size = 60_000_000
    command = f"head -c {size} /dev/zero | tr '\\0' x; echo done >&2"
    digest = hashlib.sha256()
    with guest.stream(command, timeout=120) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
        assert (stream.code, stream.err) == (0, "done\n")
    assert digest.digest() == hashlib.sha256(b"x" * size).digest()


def test_a_slow_reader_slows_the_command_down(guest, tmp_path):
    mark = tmp_path / "mark"
    with guest.stream(f"head -c 100000000 /dev/zero; touch {mark}") as stream:
        stream.read(10)
        time.sleep(1)
        assert not mark.exists()


def test_errors_alone_do_not_block_it(guest):
    with guest.stream("head -c 8000000 /dev/zero | tr '\\0' e >&2; echo end") as stream:
        assert stream.read() == b"end\n"
        assert len(stream.err) == 65_536


def test_input_of_any_size_from_a_file(guest):
    class Zeros:
        left = 30_000_000

        def read(self, size):
            part = min(size, self.left)
            self.left -= part
            return bytes(part)

    with guest.stream("wc -c", input=Zeros(), timeout=60) as stream:
        assert int(stream.read()) == 30_000_000
    assert int(guest.run("wc -c", input=io.BytesIO(b"x" * 5_000_000)).out) == 5_000_000
    assert guest.run("cat", input=io.BytesIO(b"")).out == ""


def test_what_reading_the_input_raises_is_raised(guest):
    class Broken:
        def read(self, size):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guest.run("cat", input=Broken())
    with pytest.raises(ZeroDivisionError), guest.stream("cat", input=Broken()) as stream:
        stream.read()
    assert guest.run("echo alive").out == "alive\n"


def test_input_that_hangs_does_not_hold_a_command_that_has_ended(guest):
    class Hanging:
        def read(self, size):
            time.sleep(3)
            return b""

    begin = time.monotonic()
    assert guest.run("echo done", input=Hanging(), timeout=30).out == "done\n"
    assert guest.run("echo next").out == "next\n"
    assert time.monotonic() - begin < 2.5


def test_an_abandoned_command_is_ended(guest, tmp_path):
    mark = tmp_path / "mark"
    with guest.stream(f"trap 'touch {mark}; exit' TERM; echo on; while :; do sleep 0.1; done") as s:
        assert s.read(100) == b"on\n"
    wait_until(mark.exists)
    assert guest.run("echo next").out == "next\n"


def test_so_are_its_children(guest):
    seconds = f"4711.{time.monotonic_ns()}"
    count = f"pgrep -fc '^sleep {seconds}'"
    with guest.stream(f"sleep {seconds} | cat & sleep {seconds}; echo end") as stream:
        wait_until(lambda: guest.run(count).out == "2\n")
        assert stream.code is None
    assert guest.run(count).out == "0\n"


def test_it_ends_by_its_deadline(guest):
    with (
        pytest.raises(CommandTimeoutError, match=r"did not end within 0\.5 s"),
        guest.stream("echo part; sleep 20", timeout=0.5) as stream,
    ):
        stream.read()
    assert guest.run("echo alive").out == "alive\n"


def test_a_server_that_dies_is_an_error(server, guest):
    with guest.stream("echo on; sleep 20") as stream:
        assert stream.read(100) == b"on\n"
        server.kill()
        with pytest.raises(SSHError, match="lost while"):
            stream.read()


def test_environment(guest):
    with guest.stream('printf %s "$A"', env={"A": "b c"}) as stream:
        assert stream.read() == b"b c"
