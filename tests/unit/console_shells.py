"""Real shells on pseudo terminals, as consoles of guests."""

import fcntl
import os
import pty
import select
import subprocess
import termios

from lago_sdk.errors import HypervisorError


def _take_terminal():
    """Make the terminal on standard input the one that controls this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program on a terminal of its own, as a `lago_sdk.ports.ConsoleStream`.

    *spoil* may change what it shows: kernels write into the middle of others' lines.
    """

    def __init__(self, argv, *, spoil=None, env=None):
        self._master, slave = pty.openpty()
        self._spoil = spoil or (lambda data: data)
        self._process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - no other thread is there
            env={**os.environ, "PS1": "# ", **(env or {})},
        )
        os.close(slave)

    def read(self, timeout):
        ready, _, _ = select.select([self._master], [], [], timeout)
        if not ready:
            return b""
        try:
            return self._spoil(os.read(self._master, 65536))
        except OSError as error:
            raise HypervisorError("stream had I/O failure") from error

    def write(self, data):
        os.write(self._master, data)

    def close(self):
        """Nothing ends with a user who leaves."""

    def end(self):
        self._process.kill()
        self._process.wait()
        os.close(self._master)
