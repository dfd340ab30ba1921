"""ssh keys as files: Ed25519 in OpenSSH's format (openssh-key-v1, PROTOCOL.key).

The functions of this module together are a :class:`lago_sdk.ports.KeyTool`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.adapters import files
from lago_sdk.adapters.process import run
from lago_sdk.adapters.ssh.host_keys import parse_public_line, pin_host_key
from lago_sdk.errors import SSHError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.serialization import SSHPrivateKeyTypes

__all__ = [
    "create_key_pair",
    "generate_host_key",
    "hash_password",
    "pin_host_key",
    "public_key_path",
    "read_public_key",
]


def create_key_pair(path: Path, comment: str) -> str:
    """Make an Ed25519 pair without passphrase: private key at *path*, public in ``.pub`` beside it.

    An existing private key is kept, whatever its type, and its public file made where it is
    missing.

    Args:
        path: Where the private key goes, mode 0600; the directory exists.
        comment: Last field of the public line; one line.

    Returns:
        The public line, without a newline.

    Raises:
        SSHError: The existing key is damaged, or the comment has more than one line.
        LagoError: A file cannot be written.
    """
    if path.exists():
        return _keep_key_pair(path, comment)
    private, public = generate_host_key(comment)
    # The private key is written last: a crash between the two leaves no pair, rather than half.
    files.write_atomic(public_key_path(path), f"{public}\n")
    files.write_atomic(path, private, mode=0o600)
    return public


def hash_password(password: str) -> str:
    """Return *password* as ``/etc/shadow`` holds it: SHA-512, as crypt(5) writes it.

    Raises:
        MissingToolError: openssl is not installed.
        ToolError: It cannot be hashed: it has a line end.
    """
    # Python's own crypt module goes away with 3.13. The password is in no command line.
    argv = ["openssl", "passwd", "-6", "-stdin"]
    told = run(argv, input=f"{password}\n".encode()).out.splitlines()
    if len(told) != 1:
        raise ToolError(argv, 1, "a password with a line end cannot be set")
    return told[0]


def generate_host_key(comment: str) -> tuple[str, str]:
    """Return a new Ed25519 key: private text in OpenSSH's format, and public line.

    Raises:
        SSHError: The comment has more than one line.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return private.decode(), _render_public(key, comment)


def read_public_key(path: Path) -> str:
    """Return the public line of the pair whose private key is at *path*.

    Raises:
        SSHError: There is no public file, or it holds no public key.
    """
    public_path = public_key_path(path)
    try:
        line = public_path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SSHError(f"cannot read the public key {public_path}: {error}") from error
    parse_public_line(line)
    return line


def public_key_path(path: Path) -> Path:
    """Return where the public half of the private key *path* is: ``.pub`` added."""
    return path.with_name(f"{path.name}.pub")


def _keep_key_pair(path: Path, comment: str) -> str:
    if public_key_path(path).exists():
        return read_public_key(path)
    public = _derive_public(path, comment)
    files.write_atomic(public_key_path(path), f"{public}\n")
    return public


def _derive_public(path: Path, comment: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SSHError(
            f"cannot read the private key {path}: {error}",
            hint="remove the file to have a new pair made",
        ) from error
    return _render_public(key, comment)


def _render_public(key: SSHPrivateKeyTypes, comment: str) -> str:
    from cryptography.hazmat.primitives import serialization

    if "\n" in comment or "\r" in comment:
        raise SSHError(f"a key's comment must be one line: {comment!r}")
    encoded = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{encoded.decode()} {comment}".rstrip()
