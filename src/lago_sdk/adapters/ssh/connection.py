"""Opening one authenticated connection to a guest."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import paramiko

from lago_sdk.adapters.ssh import host_keys
from lago_sdk.adapters.ssh.failures import FAILURES, translate
from lago_sdk.adapters.ssh.stages import Limits, Reached, Stage
from lago_sdk.adapters.ssh.transport import Transport, create_transport
from lago_sdk.errors import SSHError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lago_sdk.ports import SSHTarget


def open_connection(
    target: SSHTarget,
    dial: Callable[[str, int, float], socket.socket],
    limits: Limits,
    reached: Reached,
) -> Transport:
    """Connect, check the guest's host key and log in.

    Args:
        target: Whom to log in as, and where.
        dial: Gives a connected socket for an address, a port and a time-out in seconds.
        limits: Longest times of the steps.
        reached: Told of each stage as it is reached.

    Raises:
        HostKeyChangedError: The guest shows another key than the pinned one.
        SSHError: Anything else; ``reached`` says how far it came.
    """
    end = time.monotonic() + limits.whole
    reached.stage = Stage.NO_ANSWER
    pinned = host_keys.find_host_key(target.host_keys_path, target.host_key_alias)
    try:
        sock = dial(target.address, target.port, min(limits.connect, limits.whole))
    except OSError as error:
        if isinstance(error, ConnectionRefusedError):
            reached.stage = Stage.REFUSED
        raise translate(error, target.vm) from error
    reached.stage = Stage.OPEN
    transport = create_transport(sock, pinned.type if pinned else None)
    try:
        _shake_hands(transport, limits, end, reached)
        _check_host_key(transport, target)
        transport.auth_timeout = min(limits.login, end - time.monotonic())
        _log_in(transport, target, reached)
    except FAILURES as error:
        transport.end()
        raise translate(error, target.vm) from error
    except BaseException:
        transport.end()
        raise
    reached.stage = Stage.LOGGED_IN
    return transport


def open_session(transport: Transport, guest: str, seconds: float) -> paramiko.Channel:
    """Open a channel for one command.

    Raises:
        SSHError: The guest refuses it, does not answer within *seconds*, or is gone.
    """
    try:
        return transport.open_session(timeout=seconds)
    except FAILURES as error:
        raise translate(error, guest) from error


def load_key(target: SSHTarget) -> paramiko.PKey | None:
    """Return the private key of *target*, or ``None`` when it has none.

    Raises:
        SSHError: The file cannot be read, is damaged, or is locked by a passphrase.
    """
    if target.key_path is None:
        return None
    try:
        return paramiko.PKey.from_path(target.key_path)
    except (paramiko.SSHException, OSError, ValueError, TypeError) as error:
        raise SSHError(
            f"{target.vm}: cannot read the private key {target.key_path}: {error}"
        ) from error


def _shake_hands(transport: Transport, limits: Limits, end: float, reached: Reached) -> None:
    transport.banner_timeout = limits.banner
    transport.handshake_timeout = limits.handshake
    done = threading.Event()
    transport.start_client(event=done)
    finished = done.wait(end - time.monotonic())  # or sooner, by the transport's own limits
    if transport.remote_version:
        reached.stage = Stage.BANNER
        reached.banner = transport.remote_version
    if not finished:
        raise TimeoutError("no key exchange in time")
    if not transport.is_active():
        raise transport.get_exception() or EOFError("the key exchange was broken off")


def _check_host_key(transport: Transport, target: SSHTarget) -> None:
    key = transport.get_remote_server_key()
    shown = host_keys.HostKey(type=key.get_name(), blob=key.get_base64())
    host_keys.check_host_key(target.host_keys_path, target.host_key_alias, shown)


def _log_in(transport: Transport, target: SSHTarget, reached: Reached) -> None:
    """Try the key, then the password; the agent and the user's own keys are left alone."""
    key = load_key(target)
    ways: list[Callable[[], list[str]]] = []
    if key is not None:
        ways.append(lambda: transport.auth_publickey(target.user, key))
    password = target.password
    if password is not None:
        ways.append(lambda: transport.auth_password(target.user, password))
    if not ways:
        raise SSHError(f"{target.vm}: there is neither a key nor a password to log in with")
    for number, way in enumerate(ways, 1):
        try:
            way()
        except paramiko.AuthenticationException:
            if transport.is_active():  # paramiko calls a lost connection a refusal, too
                reached.stage = Stage.LOGIN_REFUSED
            if number == len(ways) or not transport.is_active():
                raise
        if transport.is_authenticated():
            return
    reached.stage = Stage.LOGIN_REFUSED
    raise paramiko.AuthenticationException("it asks for a further kind of login")
