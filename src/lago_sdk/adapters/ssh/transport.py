"""paramiko's transport with what it lacks, and with algorithms that are cheap for a guest."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, cMSG_CHANNEL_REQUEST

from lago_sdk.adapters.ssh import chacha

if TYPE_CHECKING:
    from collections.abc import Iterable

LOG_NAME = "lago_sdk.ssh.paramiko"
"""Where paramiko's own log goes. What it calls an error is, while a guest boots, ordinary, and
is told by us: so only its critical messages are let through, unless the level is set."""

_KEX = (
    "curve25519-sha256@libssh.org",
    "curve25519-sha256",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
)
_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    chacha.NAME,
    "aes128-ctr",
    "aes256-ctr",
)
"""The quickest first. chacha20 comes before AES in counter mode: dropbear has these two."""
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-512",
)
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)

_SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
}
"""Linux's numbers of the names that RFC 4254 (6.10) and sshd send."""

_KEEPALIVE_SECONDS = 10
_NO_LINGER = struct.pack("ii", 1, 0)
_SHORTEST_PAUSE = 0.001
_THREAD_ENDS = 2.0
"""Seconds that the reading thread may take to notice the end."""
_USER_TIMEOUT_MS = 30_000
"""A guest that acknowledges nothing for so long is gone (``TCP_USER_TIMEOUT``)."""


def _handle_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Take ``exit-signal``, which paramiko ignores, as the exit code 128 + signal.

    All other requests go where paramiko's own table would have sent them.
    """
    start = message.packet.tell()
    if message.get_text() != "exit-signal":
        message.packet.seek(start)
        channel._handle_request(message)  # type: ignore[attr-defined]  # noqa: SLF001
        return
    message.get_boolean()
    channel.exit_status = 128 + _SIGNALS.get(message.get_text(), 0)
    channel.status_event.set()


class Transport(paramiko.Transport):
    """A client transport that knows of signals and starts commands without waiting."""

    # paramiko's own table (of the class: it has no public way in), one entry replaced.
    _channel_handler_table = {  # noqa: RUF012
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001
        MSG_CHANNEL_REQUEST: _handle_request,
    }
    _cipher_info = {  # noqa: RUF012
        **paramiko.Transport._cipher_info,  # type: ignore[attr-defined]  # noqa: SLF001
        chacha.NAME: chacha.INFO,
    }

    def send_request(
        self, channel: paramiko.Channel, kind: str, text: str | bytes, *, want_reply: bool
    ) -> None:
        """Send a channel request that carries one string, and do not wait for the answer.

        paramiko waits for the answer of ``exec`` without a deadline. A refusal closes the
        channel, so whoever reads it learns all the same.
        """
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(kind)
        message.add_boolean(want_reply)
        message.add_string(text)
        self._send_user_message(message)  # type: ignore[attr-defined]

    def wake(self) -> None:
        """Ask the guest for an answer now and then, so that a lost connection is noticed."""
        self.set_keepalive(_KEEPALIVE_SECONDS)

    def rest(self) -> None:
        """Send nothing unless somebody uses it."""
        self.set_keepalive(0)

    def wait_sent(self, end: float) -> bool:
        """Wait until the guest has acknowledged all that was sent; whether it did.

        Args:
            end: Until when to wait, by the monotonic clock.
        """
        pause = _SHORTEST_PAUSE
        while True:
            try:
                waiting = fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4))  # tcp(7): SIOCOUTQ
            except OSError:  # closed, or a tunnel that is not TCP
                return True
            if not any(waiting):
                return True
            if time.monotonic() + pause > end:
                return False
            time.sleep(pause)
            pause *= 2

    def find_port(self) -> int | None:
        """Return our port of the connection; ``None`` for one that is closed or not TCP."""
        try:
            return int(self.sock.getsockname()[1])  # type: ignore[union-attr]
        except (OSError, AttributeError, LookupError, ValueError):
            return None

    def end(self) -> None:
        """Close at once: the reading thread need not reach its next time-out to notice."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.close()
        self.sock.close()

    def abort(self) -> None:
        """Close without a farewell that the other end would have to answer (RFC 9293, 3.10.5).

        No socket lingers here which would go on answering a guest that knows of no end.
        """
        with contextlib.suppress(OSError, AttributeError):  # a tunnel need not be a socket
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)  # type: ignore[union-attr]
            self.sock.shutdown(socket.SHUT_RD)  # wakes the reading thread, and says nothing
        self.close()
        self.join(_THREAD_ENDS)  # while it reads, the kernel keeps the socket
        self.sock.close()


def create_transport(sock: socket.socket, pinned_type: str | None) -> Transport:
    """Return a transport over *sock*, not yet started.

    Args:
        sock: A connected socket; belongs to the transport from now on.
        pinned_type: Type of the guest's pinned host key, which is asked for first.
    """
    _tune(sock)
    transport = Transport(sock, packetizer_class=chacha.ChaChaPacketizer)
    transport.daemon = True
    transport.set_log_channel(LOG_NAME)
    logger = logging.getLogger(LOG_NAME)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    options = transport.get_security_options()
    options.kex = _available(_KEX, options.kex)
    known_ciphers = (*options.ciphers, *([chacha.NAME] if chacha.is_supported() else []))
    options.ciphers = _available(_CIPHERS, known_ciphers)
    options.digests = _available(_MACS, options.digests)
    options.key_types = _available(_order_host_keys(pinned_type), options.key_types)
    return transport


def _order_host_keys(pinned_type: str | None) -> tuple[str, ...]:
    """The host key algorithms, those of the pinned key first."""
    if pinned_type is None:
        return _HOST_KEYS
    wanted = "rsa-sha2" if pinned_type == "ssh-rsa" else pinned_type
    return tuple(sorted(_HOST_KEYS, key=lambda name: not name.startswith(wanted)))


def _available(wanted: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Those of *wanted* that this version of paramiko has."""
    have = frozenset(known)
    return tuple(name for name in wanted if name in have)


def _tune(sock: socket.socket) -> None:
    options = (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS),
    )
    for level, option, value in options:
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # a tunnel may hand us a socket that is not TCP
            return
