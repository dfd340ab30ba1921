"""The one place that turns paramiko's and the socket's exceptions into ours."""

from __future__ import annotations

import errno

import paramiko
from paramiko import ssh_exception

from lago_sdk.errors import SSHError

_KEY_HINT = "is the prefix's public key in the guest's authorized_keys, and the user allowed?"

_MESSAGES: tuple[tuple[type[BaseException], str, str | None], ...] = (
    (ssh_exception.PasswordRequiredException, "the private key has a passphrase", None),
    (ssh_exception.BadAuthenticationType, "the guest does not allow our kind of login", _KEY_HINT),
    (ssh_exception.PartialAuthentication, "the guest asks for a second kind of login", _KEY_HINT),
    (ssh_exception.UnableToAuthenticate, "the guest refuses the login", _KEY_HINT),
    (ssh_exception.AuthenticationException, "the guest refuses the login", _KEY_HINT),
    (
        ssh_exception.ChannelException,
        "the guest refuses another session",
        "sshd allows 10 at once on a connection (MaxSessions)",
    ),
    (ssh_exception.BadHostKeyException, "the guest shows another host key than expected", None),
    (
        ssh_exception.IncompatiblePeer,
        "the guest's ssh server and this client have no algorithm in common",
        None,
    ),
    (ssh_exception.ProxyCommandFailure, "the way to the guest broke", None),
    (ssh_exception.NoValidConnectionsError, "no connection to the guest", None),
    (ssh_exception.CouldNotCanonicalize, "the guest's name cannot be resolved", None),
    (ssh_exception.ConfigParseError, "an ssh configuration file is wrong", None),
    (ssh_exception.MessageOrderError, "the guest broke the ssh protocol", None),
    (ssh_exception.SSHException, "the ssh connection failed", None),
    (TimeoutError, "the guest does not answer in time", None),
    (ConnectionRefusedError, "nothing listens on the guest's ssh port", None),
    (ConnectionError, "the guest closed the connection", None),
    (EOFError, "the guest closed the connection", None),
    (OSError, "the network to the guest failed", None),
)
"""Most special first: the first class that fits tells the sentence and the hint."""

_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})

FAILURES: tuple[type[BaseException], ...] = (paramiko.SSHException, OSError, EOFError)
"""All that paramiko and sockets raise; what :func:`translate` understands."""


def translate(error: BaseException, guest: str) -> SSHError:
    """Return our error for what paramiko or a socket raised while we talked to *guest*."""
    unexpected = (f"ssh failed unexpectedly ({type(error).__name__})", None)
    sentence, hint = next(
        ((text, help_) for kind, text, help_ in _MESSAGES if isinstance(error, kind)), unexpected
    )
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        sentence = "there is no route to the guest"
    detail = " ".join(str(error).split())
    return SSHError(f"{guest}: {sentence}" + (f": {detail}" if detail else ""), hint=hint)


def is_hopeless(error: BaseException | None) -> bool:
    """Whether trying again cannot help: the two programs cannot understand each other."""
    return isinstance(error, ssh_exception.IncompatiblePeer)


def is_refused_session(error: BaseException | None) -> bool:
    """Whether the connection is sound and the guest wants no further session on it."""
    return isinstance(error, ssh_exception.ChannelException)
