"""Connects programs of this machine to an address in the networks of a private host.

It is a program of its own, for the ``ProxyCommand`` of ssh (ssh_config(5))::

    python -I -S proxy.py [--relay] PREFIX ADDRESS PORT [VM]

With ``ProxyUseFdpass yes`` ssh gives it a unix socket as standard output, takes a connected
socket from there (``SCM_RIGHTS`` beside one byte) and talks to the guest itself: we have ended by
then, and nothing is relayed. Where standard output is no socket (paramiko makes it a pipe), or
with ``--relay``, it passes on bytes between its standard streams and the guest until that closes.

It uses the standard library only and imports nothing of this package, so that it starts in
some 40 ms whatever directory and environment it is run in. What it asks the supervisor of the
private host is explained in :mod:`lago_sdk.adapters.hosts.supervisor`.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # without importing typing, which costs 5 ms
    from typing import NoReturn

_ANSWER_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
"""Time for three attempts of the kernel; ssh itself has no deadline for a proxy."""
_MAX_MESSAGE = 200_000
_CHUNK = 65_536
_INPUT, _OUTPUT = 0, 1
_USAGE = "usage: proxy.py [--relay] PREFIX ADDRESS PORT [VM]"


class ProxyError(Exception):
    """There is no connection; the text is a sentence that says why."""


def read_text(prefix: str, name: str) -> str:
    """Return the content of a file of the prefix."""
    try:
        with open(f"{prefix}/{name}", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 10 ms
            return file.read()
    except OSError as error:
        raise ProxyError(f"there is no prefix at {prefix!r}: {error.strerror}") from None


def find_control(prefix: str) -> str:
    """Return the path of the supervisor's socket, which nobody else could have put there."""
    run_dir = json.loads(read_text(prefix, "metadata"))["run_dir"]
    try:
        found = os.lstat(run_dir)
    except FileNotFoundError:
        raise ProxyError(explain_down(prefix)) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise ProxyError(f"{run_dir} is not a directory that only its owner can enter")
    if found.st_uid != os.geteuid():
        raise ProxyError(f"the prefix {prefix!r} is user {found.st_uid}'s; run as that user")
    return f"{run_dir}/control"


def explain_down(prefix: str) -> str:
    """Say that nothing of the prefix runs, and how to change that."""
    return f"nothing of the prefix {prefix!r} is running (start it: {lagoctl(prefix, 'start')})"


def lagoctl(prefix: str, verb: str) -> str:
    """Return the command line that does *verb* with the prefix."""
    from shlex import quote

    workdir, name = os.path.split(prefix)
    return f"lagoctl -w {quote(workdir)} -P {quote(name)} {verb}"


def ask(control: socket.socket, request: dict[str, object]) -> tuple[dict[str, object], list[int]]:
    """Send one request to the supervisor; return its answer and the descriptors beside it."""
    control.send(json.dumps(request).encode())
    data, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
    answer: dict[str, object] = json.loads(data)
    if "error" in answer:
        raise ProxyError(f"the private host refused: {answer['error']}")
    return answer, descriptors


def make_socket(prefix: str, family: int) -> socket.socket:
    """Return a TCP socket, not yet connected, that belongs to the networks of the prefix."""
    path = find_control(prefix)
    request = {"do": "socket", "family": family, "type": int(socket.SOCK_STREAM), "proto": 0}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(_ANSWER_SECONDS)
        try:
            control.connect(path)
            answer, _ = ask(control, {"do": "ping"})
            if answer["uuid"] != read_text(prefix, "uuid").strip():
                raise ProxyError(f"the run directory of the prefix {prefix!r} is another one's")
            _, descriptors = ask(control, request)
        except (OSError, ValueError):  # not there, going down, or down before it answered
            raise ProxyError(explain_down(prefix)) from None
    return socket.socket(fileno=descriptors[0])


def connect(prefix: str, address: str, port: int, vm: str) -> socket.socket:
    """Return a socket that is connected to the guest."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    guest = make_socket(prefix, int(family))
    guest.settimeout(_CONNECT_SECONDS)
    try:
        guest.connect((address, port))
    except OSError as error:
        status = lagoctl(prefix, "status")
        reason = error.strerror or "no answer"
        who = f"{vm!r} ({address} port {port})"
        raise ProxyError(f"{who} cannot be reached: {reason} (is it up? {status})") from None
    guest.settimeout(None)  # also of the descriptor that is handed on
    return guest


def hand_over(guest: socket.socket) -> None:
    """Give the connection to whoever made our standard output."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(_OUTPUT)) as asker:
        socket.send_fds(asker, [b"\0"], [guest.fileno()])


def relay(guest: socket.socket) -> None:
    """Pass on bytes both ways until the guest closes the connection."""
    import threading

    threading.Thread(target=pass_input, args=(guest,), daemon=True).start()
    try:
        while data := guest.recv(_CHUNK):
            write_all(data)
    except (BrokenPipeError, ConnectionResetError):
        return  # whoever asked, or the guest, has gone


def pass_input(guest: socket.socket) -> None:
    """Pass on what we can read, and its end."""
    try:
        while data := os.read(_INPUT, _CHUNK):
            guest.sendall(data)
        guest.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the guest has gone; the other direction notices as well


def write_all(data: bytes) -> None:
    """Write all of *data* to standard output."""
    while data:
        data = data[os.write(_OUTPUT, data) :]


def main(arguments: list[str]) -> None:
    """Connect standard output to a guest.

    Raises:
        ProxyError: It cannot be reached.
    """
    wants_relay = arguments[:1] == ["--relay"]
    words = arguments[1:] if wants_relay else arguments
    if len(words) not in {3, 4} or not words[2].isdigit():
        raise ProxyError(_USAGE)
    prefix, address, port = words[:3]
    prefix = os.path.abspath(prefix)  # noqa: PTH100 - pathlib costs 10 ms to import
    with connect(prefix, address, int(port), words[-1] if words[3:] else address) as guest:
        if wants_relay or not stat.S_ISSOCK(os.fstat(_OUTPUT).st_mode):
            relay(guest)
        else:
            hand_over(guest)


def run() -> NoReturn:
    """Be the program: tell an error in one line, and end with its exit code."""
    try:
        main(sys.argv[1:])
    except ProxyError as error:
        os.write(2, f"lago: {error}\n".encode(errors="surrogateescape"))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    run()
