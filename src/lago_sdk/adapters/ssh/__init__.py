"""Guests over ssh: one kept connection each, explaining waits, pinned host keys.

paramiko (170 ms to import) is loaded by :mod:`lago_sdk.adapters.ssh.connection` and its
neighbours, which :class:`SSHGuest` imports when it first connects.
"""

from lago_sdk.adapters.ssh.guest import SSHGuest

__all__ = ["SSHGuest"]
