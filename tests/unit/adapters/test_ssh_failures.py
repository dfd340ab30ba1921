"""Every exception of paramiko and of sockets becomes one of ours, with a sentence of its own."""

import errno
import inspect

import paramiko
import pytest
from paramiko import ssh_exception

from lago_sdk.adapters.ssh import failures
from lago_sdk.errors import SSHError

_CLASSES = sorted(
    (
        kind
        for _, kind in inspect.getmembers(ssh_exception, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == ssh_exception.__name__
    ),
    key=lambda kind: kind.__name__,
)


def make(kind):
    """An instance that needs none of its constructor's arguments."""
    error = kind.__new__(kind)
    Exception.__init__(error, "detail")
    return error


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_each_class_of_paramiko_is_caught_and_has_a_sentence_of_its_own(kind):
    assert issubclass(kind, failures.FAILURES)
    own = [entry for entry in failures._MESSAGES if entry[0] is kind]
    assert own, f"{kind.__name__} falls through to the sentence of a base class"


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_the_most_special_entry_wins(kind):
    first = next(entry for entry in failures._MESSAGES if issubclass(kind, entry[0]))
    assert first[0] is kind


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "nothing listens"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route"),
        (TimeoutError("timed out"), "does not answer in time"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "closed the connection"),
        (BrokenPipeError(errno.EPIPE, "broken"), "closed the connection"),
        (EOFError(), "closed the connection"),
        (OSError(errno.EIO, "other"), "the network to the guest failed"),
        (paramiko.AuthenticationException("no"), "refuses the login"),
        (paramiko.ChannelException(1, "prohibited"), "refuses another session"),
        (paramiko.BadAuthenticationType("x", ["password"]), "does not allow our kind of login"),
        (ValueError("odd"), "ValueError"),
    ],
)
def test_the_sentence_names_the_guest_and_what_happened(error, sentence):
    translated = failures.translate(error, "web")
    assert type(translated) is SSHError
    assert translated.message.startswith("web: ")
    assert sentence in translated.message
    assert "\n" not in translated.message


def test_only_incompatible_servers_are_hopeless():
    assert failures.is_hopeless(make(ssh_exception.IncompatiblePeer))
    assert not failures.is_hopeless(make(ssh_exception.SSHException))
    assert not failures.is_hopeless(None)
