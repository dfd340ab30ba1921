"""A guest without a machine, for tests of code that takes a :class:`lago_sdk.ports.Guest`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import PathNotFoundError
from lago_sdk.results import CommandResult
from lago_sdk.testing.offline import extract_fake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lago_sdk.ports import Extraction, Readable, Skipped

_NOT_FOUND = 127
"""A shell's exit code for a program that is not there."""


@attrs.frozen(kw_only=True)
class Call:
    """One command that a :class:`FakeGuest` was asked to run."""

    command: str
    input: bytes | None = None
    timeout: float | None = None
    env: Mapping[str, str] = attrs.field(factory=dict)


class FakeStream:
    """The output of a command, as :class:`lago_sdk.ports.GuestStream` gives it."""

    def __init__(self, command: str, data: bytes, *, code: int, err: str) -> None:
        self.command = command
        self.code: int | None = None
        self.err = err
        self.is_closed = False
        self._rest = data
        self._end = code

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes; none, and `code` is set, at the end."""
        length = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:length], self._rest[length:]
        if size < 0 or (size and not taken):
            self.code = self._end
        return taken

    def close(self) -> None:
        """End it."""
        self.is_closed = True


class FakeGuest:
    """A guest that answers what it was told to answer, and remembers what it was asked.

    A command without an answer ends as in a shell that lacks the program: with code 127.

    Args:
        login_seconds: What `wait` returns.
        login_error: Raised by `wait` and `run`, as long as it is set.

    Attributes:
        calls: What `run` was asked, in order.
        skipped: What `copy_to` and `copy_from` return.
        interactions: What `interact` was asked, in order.
        files: Its files by absolute path, for `extract`.
        is_open: Whether there was a login since the last `close`.
    """

    def __init__(self, *, login_seconds: float = 0.0, login_error: Exception | None = None) -> None:
        self.login_seconds = login_seconds
        self.login_error = login_error
        self.calls: list[Call] = []
        self.interactions: list[str | None] = []
        self.files: dict[str, bytes] = {}
        self.is_open = False
        self.skipped: tuple[Skipped, ...] = ()
        self._answers: dict[str, Callable[[Call], CommandResult]] = {}
        self._streams: dict[str, tuple[bytes, int, str]] = {}
        self._boot: Callable[[Callable[[], None]], float] | None = None

    def answer(self, command: str, *, code: int = 0, out: str = "", err: str = "") -> None:
        """Have *command* end with *code* and that output."""
        result = CommandResult(command=command, code=code, out=out, err=err)
        self._answers[command] = lambda _call: result

    def answer_with(self, command: str, reply: Callable[[Call], CommandResult]) -> None:
        """Have *reply* tell how *command* ends; it may raise as a real guest would."""
        self._answers[command] = reply

    def answer_stream(self, command: str, data: bytes, *, code: int = 0, err: str = "") -> None:
        """Have *command* write *data*, which need not be text, where its output is streamed."""
        self._streams[command] = (data, code, err)

    def boot_with(self, boot: Callable[[Callable[[], None]], float]) -> None:
        """Have *boot* stand for the boot that `wait` waits for.

        Args:
            boot: Returns the seconds it took, or raises as a real wait would. It is given a
                function to call now and then, which raises when the wait is given up.
        """
        self._boot = boot

    def run(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Remember the call, its input read to the end, and give its answer."""
        call = self._note(command, input, timeout, env)
        reply = self._answers.get(command)
        if reply is None:
            text = f"{command}: not found\n"
            result = CommandResult(command=command, code=_NOT_FOUND, out="", err=text)
        else:
            result = reply(call)
        if on_output is not None:
            for stream, output in (("out", result.out), ("err", result.err)):
                if output:
                    on_output(stream, output.encode())
        return result if capture else attrs.evolve(result, out="", err="")

    @contextmanager
    def stream(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[FakeStream]:
        """Give the answer of `answer_stream`, else that of `run`, as a stream."""
        if command in self._streams:
            self._note(command, input, timeout, env)
            data, code, err = self._streams[command]
        else:
            result = self.run(command, input=input, timeout=timeout, env=env)
            data, code, err = result.out.encode(), result.code, result.err
        stream = FakeStream(command, data, code=code, err=err)
        try:
            yield stream
        finally:
            stream.close()

    def wait(
        self,
        *,
        timeout: float,  # noqa: ARG002 - a fake needs no time
        explain: Callable[[], str],  # noqa: ARG002 - and has nothing to explain
        give_up: Callable[[], None] | None = None,
    ) -> float:
        """Return at once, or when the boot of `boot_with` has ended."""
        if give_up is not None:
            give_up()
        seconds = self.login_seconds
        if self._boot is not None:
            seconds = self._boot(give_up or _go_on)
        self._log_in()
        return seconds

    def interact(self, command: str | None = None) -> int:
        """Remember the call; returns the code of the command's answer, 0 for a shell."""
        self.interactions.append(command)
        self._log_in()
        if command is None:
            return 0
        reply = self._answers.get(command)
        return _NOT_FOUND if reply is None else reply(Call(command=command)).code

    def extract(
        self, paths: Sequence[tuple[str, Path]], *, timeout: float | None = None
    ) -> Extraction:
        """Write those of `files` that are at *paths* or below them."""
        self.calls.append(Call(command="extract", timeout=timeout))
        self._log_in()
        return extract_fake(self.files, paths)

    def copy_to(
        self,
        sources: Sequence[str],
        target: str,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Put the files that are at *sources* or below them into `files`, under *target*."""
        self.calls.append(Call(command=f"copy_to {target}{' follow' * follow}"))
        self._log_in()
        for source in map(Path, sources):
            above = source if source.is_file() else source.parent
            for file in (source, *source.rglob("*")):
                if file.is_file():
                    name = target if file == above else f"{target}/{file.relative_to(above)}"
                    self.files[name] = file.read_bytes()
                    if on_progress is not None:
                        on_progress(len(self.files[name]), None)
        return self.skipped

    def copy_from(
        self,
        sources: Sequence[str],
        target: Path,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Write those of `files` that are at *sources* or below them to *target*."""
        self.calls.append(Call(command=f"copy_from {target}{' follow' * follow}"))
        self._log_in()
        into = target.is_dir()
        places = [(path, target / PurePosixPath(path).name if into else target) for path in sources]
        extraction = extract_fake(self.files, places)
        if extraction.missing:
            raise PathNotFoundError("fake", extraction.missing)
        if on_progress is not None:
            on_progress(sum(map(len, self.files.values())), None)
        return self.skipped

    def rest(self, seconds: float) -> tuple[int, ...]:  # noqa: ARG002 - nothing is on its way
        """See `Guest.rest`."""
        return ()

    def close(self, *, abort: bool = False) -> None:  # noqa: ARG002 - there is no trace
        """Log out."""
        self.is_open = False

    def _note(
        self,
        command: str,
        source: bytes | Readable | None,
        timeout: float | None,
        env: Mapping[str, str] | None,
    ) -> Call:
        if source is None or isinstance(source, bytes):
            data = source
        else:
            data = b"".join(iter(partial(source.read, 65_536), b""))
        call = Call(command=command, input=data, timeout=timeout, env=dict(env or {}))
        self.calls.append(call)
        self._log_in()
        return call

    def _log_in(self) -> None:
        if self.login_error is not None:
            raise self.login_error
        self.is_open = True


def _go_on() -> None:
    """Nobody gives the wait up."""
