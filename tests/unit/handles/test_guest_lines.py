"""Lines of commands in guests, on the shipped fake."""

import gc

import pytest

from lago_sdk.errors import CommandError
from lago_sdk.handles.lines import GuestLines
from lago_sdk.testing import FakeGuest


class Pieces:
    """A stream that gives what it was told, piece by piece."""

    command = "x"
    err = "bad"

    def __init__(self, *pieces, code=0):
        self.pieces = list(pieces)
        self.code = None
        self.end = code
        self.is_closed = False

    def read(self, size=-1, /):
        if self.pieces:
            return self.pieces.pop(0)
        self.code = self.end
        return b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True


def lines_of(*pieces, code=0, check=True):
    return GuestLines(Pieces(*pieces, code=code), check=check)


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((), []),
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"o", b"n", b"e\nt", b"wo"), ["one", "two"]),
        ((b"\n\n",), ["", ""]),
        ((b"a\r\n\xff\n",), ["a\r", "�"]),
        ((b"gr", "ü\n".encode()[:1], "ü\n".encode()[1:]), ["grü"]),
    ],
)
def test_lines(pieces, lines):
    assert list(lines_of(*pieces)) == lines


def test_a_line_is_there_before_the_next_piece_is_asked_for():
    stream = Pieces(b"one\ntw", b"o\n")
    lines = GuestLines(stream, check=True)
    assert next(lines) == "one"
    assert stream.pieces == [b"o\n"]
    assert lines.code is None


def test_a_failure_is_told_after_the_last_line():
    lines = lines_of(b"one", code=3)
    assert next(lines) == "one"
    with pytest.raises(CommandError, match="exited with 3: bad"):
        next(lines)
    assert list(lines) == []
    assert (lines.code, lines.err) == (3, "bad")


def test_a_failure_can_be_left_to_the_caller():
    lines = lines_of(b"one", code=3, check=False)
    assert list(lines) == ["one"]
    assert lines.code == 3


def test_leaving_closes_the_stream():
    one, two, three = (Pieces(b"a\nb\n") for _ in range(3))
    with GuestLines(one, check=True) as lines:
        next(lines)
    for _ in GuestLines(two, check=True):
        break
    gc.collect()
    assert list(GuestLines(three, check=True)) == ["a", "b"]
    assert one.is_closed
    assert two.is_closed
    assert three.is_closed


def test_an_error_closes_it():
    class Broken(Pieces):
        def read(self, size=-1, /):
            raise ZeroDivisionError

    stream = Broken()
    with pytest.raises(ZeroDivisionError):
        next(GuestLines(stream, check=True))
    assert stream.is_closed


def test_the_fake_has_lines():
    fake = FakeGuest()
    fake.answer("x", out="a\nb\n")
    assert list(GuestLines(fake.stream("x"), check=True)) == ["a", "b"]
