"""Talks to the supervisor of a private host; the protocol is in its module's docstring."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Self

import attrs

from lago_sdk.adapters.hosts.supervisor import MAX_MESSAGE, READY, STARTING
from lago_sdk.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ANSWER_SECONDS = 5.0
"""The supervisor never blocks, so an answer that takes longer will not come."""


@attrs.frozen(kw_only=True)
class Status:
    """What the supervisor says of itself."""

    pid: int
    """Its pid in our PID namespace."""
    uuid: str
    """The prefix that the host belongs to."""
    state: str
    """``starting``, ``ready``, or how libvirtd has ended."""

    @property
    def is_ready(self) -> bool:
        """Whether libvirtd answers."""
        return self.state == READY

    @property
    def is_broken(self) -> bool:
        """Whether libvirtd has died: the supervisor does not start it again."""
        return self.state not in {READY, STARTING}


class Connection:
    """One connection to a supervisor; closed at the end of the ``with`` block.

    Args:
        path: The control socket.

    Raises:
        HostError: Nobody listens there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_ANSWER_SECONDS)
        try:
            self._socket.connect(os.fspath(path))
        except OSError as error:
            self._socket.close()
            raise HostError(f"the private host is not up: {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Nothing to do: it is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, for selectors."""
        return self._socket.fileno()

    def send(self, request: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        """Send one request.

        Raises:
            HostError: It is too long, or the host is going down.
        """
        data = json.dumps(request).encode()
        if len(data) > MAX_MESSAGE:
            raise HostError(f"arguments and environment have more than {MAX_MESSAGE} bytes")
        try:
            socket.send_fds(self._socket, [data], descriptors, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error

    def receive(
        self, *, timeout: float | None = _ANSWER_SECONDS
    ) -> tuple[dict[str, object], list[int]]:
        """Read one answer and the descriptors that came with it.

        Raises:
            HostError: No answer within *timeout* seconds, or it says that something failed.
        """
        self._socket.settimeout(timeout)
        flags = socket.MSG_CMSG_CLOEXEC
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, MAX_MESSAGE, 1, flags)
        except TimeoutError as error:
            raise self._lost(f"no answer in {timeout} s") from error
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        if not data:
            raise self._lost("it has ended")
        answer: dict[str, object] = json.loads(data)
        if "error" in answer:
            raise HostError(f"the private host refused: {answer['error']}")
        return answer, descriptors

    def _lost(self, why: str) -> HostError:
        return HostError(f"the private host at {self._path.parent} does not answer: {why}")


def get_status(path: Path, *, wait: float | None = None) -> Status:
    """Ask the supervisor for its state.

    Args:
        path: The control socket.
        wait: Seconds to wait for libvirtd to be ready or dead; at once when ``None``.

    Raises:
        HostError: The supervisor is not there or does not answer.
    """
    if wait is None:
        return _ask_status(path, "ping", _ANSWER_SECONDS)
    return _ask_status(path, "wait", wait)


def _ask_status(path: Path, wish: str, timeout: float) -> Status:
    with Connection(path) as connection:
        connection.send({"do": wish})
        answer, _ = connection.receive(timeout=timeout)
    pid = answer["pid"]
    assert isinstance(pid, int)
    return Status(pid=pid, uuid=str(answer["uuid"]), state=str(answer["state"]))


def revive(path: Path, *, wait: float) -> Status:
    """Have a libvirtd that has died started again; returns the state once it is ready or dead.

    Args:
        path: The control socket.
        wait: Seconds to wait for it.

    Raises:
        HostError: The supervisor is not there or does not answer.
    """
    return _ask_status(path, "revive", wait)


def find_status(path: Path) -> Status | None:
    """The supervisor's state, or ``None`` when there is none that answers."""
    try:
        return get_status(path)
    except HostError:
        return None


def listen(path: Path, vm: str, token: str, listener: socket.socket) -> None:
    """Have a socket kept until the first packet comes in, in place of the one before for *vm*.

    Args:
        path: The control socket.
        vm: Name of the VM.
        token: What `heard` calls it.
        listener: The socket; it may be closed here afterwards.

    Raises:
        HostError: The supervisor is not there or could not take it.
    """
    with Connection(path) as connection:
        connection.send({"do": "listen", "vm": vm, "token": token}, [listener.fileno()])
        connection.receive()


def heard(path: Path) -> dict[str, bool]:
    """Whether a packet came in, by token.

    Raises:
        HostError: The supervisor is not there or does not answer.
    """
    with Connection(path) as connection:
        connection.send({"do": "heard"})
        answer, _ = connection.receive()
    found = answer["heard"]
    assert isinstance(found, dict)
    return found


def create_socket(
    path: Path,
    family: socket.AddressFamily,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    protocol: int = 0,
) -> socket.socket:
    """Make a socket that belongs to the host's networks, neither bound nor connected.

    Args:
        path: The control socket.
        family: For example ``AF_INET``.
        kind: TCP unless something else is wanted.
        protocol: As for ``socket.socket``.

    Raises:
        HostError: The supervisor is not there or could not make it.
    """
    request: dict[str, object] = {
        "do": "socket",
        "family": int(family),
        "type": int(kind),
        "proto": protocol,
    }
    with Connection(path) as connection:
        connection.send(request)
        _, descriptors = connection.receive()
    return socket.socket(fileno=descriptors[0])
