r"""How a command goes through a serial console, and its output comes back whole.

A console echoes what is typed, edits lines, and shows kernel messages in the middle of others'
words. So the guest's shell is given a short first line that reads a script, in pieces that are
acknowledged; the script keeps the command's output to its end and shows it as numbered records
of base64 (or hexadecimal, without ``base64``), and those that arrive damaged are asked for again.

A record is ``TOKEN:NUMBER:DATA;``, or has a letter for NUMBER. The token is typed in two halves,
so that an echo is no record. Everything is POSIX sh.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PIECE = 800
"""Characters of a line of the script; a terminal takes 4095."""
_PLAIN = re.compile(r"[A-Za-z0-9_/=+:,-]")
"""What ``printf %b`` and ``read`` leave alone."""

# The terminal is put back by a trap, also when Control-C ends the script.
_BOOTSTRAP = (
    ' sh -c \'t={head}""{tail};o=$(stty -g);q(){{ stty $o;echo "$t:z:;";}};trap q 0;'
    'trap "exit 130" 2;stty -echo;'
    's=;n=0;echo "$t:r:;";while read -r l;do [ "$l" = . ]&&break;s=$s$l;n=$((n+1));'
    'echo "$t:k:$n;";done;eval "$(printf %b "$s")"\''
)
_SCRIPT = """\
f=h
command -v base64 >/dev/null 2>&1 && f=b
w() { if [ $f = b ]; then base64; else od -An -v -tx1 | sed 's/ //g'; fi; }
r=$({
y=$({ x=$({ printf %b "$i" | sh -c "$c" 3>&-; echo "c$?" >&3; } | w)
for l in $x; do echo "o$l"; done >&3; } 2>&1 | w)
for l in $y; do echo "e$l"; done >&3
} 3>&1)
a=0
while :; do
n=0
for l in $r; do n=$((n+1)); { [ "$a" = 0 ] || [ "$a" = $n ]; } && echo "$t:$n:$l;"; done
echo "$t:$f:$n;"
read -r a || break
[ "$a" = . ] && break
done
"""
"""Runs the command and shows its records; a number asks for one of them, 0 for all, ``.`` ends."""


def encode(data: bytes) -> str:
    """Return *data* as characters that a terminal passes and ``printf %b`` turns back."""
    text = data.decode("latin-1")
    return "".join(char if _PLAIN.match(char) else f"\\0{ord(char):03o}" for char in text)


def render_bootstrap(token: str) -> str:
    """Return the first line, for an interactive shell; a blank keeps it out of its history."""
    half = len(token) // 2
    return _BOOTSTRAP.format(head=token[:half], tail=token[half:])


def render_script(command: str, data: bytes | None) -> str:
    """Return the script that runs *command* with *data* as its input."""
    given = shlex.quote(encode(data or b""))
    return f"c={shlex.quote(command)}\ni={given}\n{_SCRIPT}"


def split_script(script: str) -> Iterator[str]:
    """Return the lines in which a script is typed, without their ends."""
    coded = encode(script.encode())
    for start in range(0, len(coded), _PIECE):
        yield coded[start : start + _PIECE]
    yield "."


@attrs.frozen(kw_only=True)
class Output:
    """What a command left behind."""

    code: int
    out: bytes
    err: bytes


class Records:
    """The records of one command, as far as they have come in."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._pattern = re.compile(rf"{token}:([a-z]|\d+):([A-Za-z0-9+/=]*);")
        self._unread = ""
        self._data: dict[int, str] = {}
        self._format = ""
        self.is_ready = False
        """Whether the shell has begun to read the script."""
        self.is_over = False
        """Whether it has ended, and the terminal is as it was."""
        self.lines = 0
        """Lines of the script that the shell has read."""
        self.total: int | None = None
        """How many records there are, once that is known."""
        self.is_told = False
        """Whether the end of the records, or of those asked for again, has come in."""

    @property
    def count(self) -> int:
        """How many records have come in."""
        return len(self._data)

    def feed(self, shown: str) -> None:
        """Take what the console has shown."""
        self._unread += shown
        end = 0
        for found in self._pattern.finditer(self._unread):
            self._take(found[1], found[2])
            end = found.end()
        self._unread = self._unread[end:]

    def has_read(self, lines: int) -> bool:
        """Whether the shell has read so many lines of the script."""
        return self.lines >= lines

    def expect_more(self) -> None:
        """Be ready for records that were asked for again; their end is told as well."""
        self.is_told = False

    def list_missing(self) -> list[int]:
        """Return the numbers of records that did not come in."""
        return [number for number in range(1, (self.total or 0) + 1) if number not in self._data]

    def decode(self) -> Output:
        """Return what all records together tell.

        Raises:
            ValueError: They make no sense.
        """
        lines = [self._data[number] for number in range(1, (self.total or 0) + 1)]
        parts = _sort(lines)
        decode = base64.b64decode if self._format == "b" else binascii.unhexlify
        out, err = (decode("".join(parts[kind])) for kind in "oe")
        return Output(code=int("".join(parts["c"])), out=out, err=err)

    def _take(self, kind: str, data: str) -> None:
        if kind.isdigit():
            self._data[int(kind)] = data
        elif kind == "r":
            self.is_ready = True
        elif kind == "z":
            self.is_over = True
        elif kind == "k":
            self.is_ready = True
            self.lines = int(data)
        elif data.isdigit():
            self._format, self.total, self.is_told = kind, int(data), True


def _sort(lines: list[str]) -> Mapping[str, list[str]]:
    """Return the lines by their first characters, without these."""
    parts: dict[str, list[str]] = {"c": [], "o": [], "e": []}
    for line in lines:
        parts.setdefault(line[:1], []).append(line[1:])
    return parts
