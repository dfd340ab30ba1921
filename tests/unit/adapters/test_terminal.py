"""Our terminal attached to a stream: a real pseudo terminal on our side."""

import os
import pty
import termios
import threading

import pytest

from lago_sdk.adapters.terminal import Streams, attach_stream
from lago_sdk.errors import HypervisorError, LagoError


class Echo:
    """A stream that shows what is written to it, in capitals."""

    def __init__(self):
        self._reader, self._writer = os.pipe()
        self.written = b""

    def fileno(self):
        return self._reader

    def read(self, timeout):
        data = os.read(self._reader, 4096)
        if b"OFF" in data:
            raise HypervisorError("the console was closed")
        return data

    def write(self, data):
        self.written += data
        os.write(self._writer, data.upper())

    def close(self):
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def stream():
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def attach(stream, slave):
    attach_stream(stream, streams=Streams(stdin=slave, stdout=slave))


def test_keys_go_in_and_what_is_shown_comes_out_until_the_escape_key(stream, terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    thread = threading.Thread(target=attach, args=(stream, slave))
    thread.start()
    while termios.tcgetattr(slave) == before:
        pass
    os.write(master, b"abc\x03")
    assert os.read(master, 4) == b"ABC\x03"
    os.write(master, b"last\x1dnever")
    thread.join(5)
    assert not thread.is_alive()
    assert stream.written == b"abc\x03last"
    assert termios.tcgetattr(slave) == before


def test_a_stream_that_ends_is_told_and_the_terminal_restored(stream, terminal):
    _, slave = terminal
    before = termios.tcgetattr(slave)
    stream.write(b"off")
    with pytest.raises(HypervisorError, match="was closed"):
        attach(stream, slave)
    assert termios.tcgetattr(slave) == before


def test_without_a_terminal_nothing_is_attached(stream):
    reader, writer = os.pipe()
    with pytest.raises(LagoError, match="needs a terminal"):
        attach(stream, reader)
    os.close(reader)
    os.close(writer)
