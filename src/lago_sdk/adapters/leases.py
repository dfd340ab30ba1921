"""Subnet leases on a shared host, in the format that Lago keeps them in.

The directory (Lago's default: ``/var/lib/lago/subnets``) has one file per leased subnet. For
``192.168.N.0/24`` with N from 200 to 255, which is all that Lago leases, it is called
``N.lease``; other subnets get a name that Lago never looks for, ``10.1.0.0_16.subnet``. A file
holds a JSON list of two strings, the path of the holder's uuid file and the uuid in it. A lease
is stale, and anybody's, once that file is missing or has another content: no clean-up is owed
for a prefix that was removed by hand. Changes are made under an exclusive ``flock`` of
``subnet-lease.lock`` in the directory, which Lago takes as well.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from lago_sdk.adapters import files
from lago_sdk.adapters.holders import is_gone
from lago_sdk.errors import LagoError, LockedError, SubnetLeaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LAGO_RANGE = ipaddress.IPv4Network("192.168.0.0/16")
_LAGO_OCTETS = range(200, 256)
_LOCK_NAME = "subnet-lease.lock"
_LOCK_SECONDS = 30.0
"""The lock is held for about a millisecond; this is for a host that has stalled."""
_LAGO_SUFFIX = ".lease"
_OTHER_SUFFIX = ".subnet"


@attrs.frozen(kw_only=True)
class SubnetLease:
    """One lease as it is on disk."""

    subnet: IPNetwork
    uuid_path: Path
    """The holder's uuid file."""
    uuid: str

    def is_stale(self) -> bool:
        """Whether its holder is gone."""
        return is_gone(self.uuid_path, self.uuid)


class FileSubnetLeases:
    """Leases of subnets among all prefixes of one machine, in a directory that they share."""

    def __init__(self, lease_dir: Path) -> None:
        self._lease_dir = lease_dir

    def acquire(self, subnet: str, *, uuid_path: Path, uuid: str) -> None:
        """Reserve *subnet* for the prefix; does nothing where it holds it already.

        Args:
            subnet: CIDR form, host bits zero: ``"192.168.200.0/24"``.
            uuid_path: The prefix's uuid file; it exists.
            uuid: What is in it.

        Raises:
            SubnetLeaseError: A live prefix holds it or a subnet that overlaps it, *subnet* is
                malformed, or the directory cannot be used.
        """
        network = _parse_subnet(subnet)
        # Most often a subnet that is taken can be told by looking, which needs no lock.
        self._check_free(network, uuid)
        self._create_directory()
        lease = SubnetLease(subnet=network, uuid_path=uuid_path.absolute(), uuid=uuid)
        with self._locked(f"lease {network}"):
            present = self._check_free(network, uuid)
            if lease in present:
                return
            for old in present:
                self._remove(old)
            self._write(lease)

    def taken(self, *, uuid: str) -> frozenset[str]:
        """Return the subnets (CIDR form) that live prefixes other than *uuid* hold.

        Raises:
            SubnetLeaseError: The directory is there and cannot be read.
        """
        others = (lease for lease in self._read_all() if lease.uuid != uuid)
        return frozenset(str(lease.subnet) for lease in others if not lease.is_stale())

    def release(self, *, uuid: str) -> None:
        """Give back all that the prefix holds; idempotent.

        Raises:
            SubnetLeaseError: A lease cannot be removed.
        """
        # Only its holder removes a live lease, so what is seen here stays; looking needs no lock.
        held = [lease for lease in self._read_all(naming=uuid) if lease.uuid == uuid]
        if not held:
            return
        with self._locked("release subnets"):
            for lease in held:
                now = self._read(_lease_name(lease.subnet))
                if now is not None and now.uuid == uuid:
                    self._remove(lease)

    def _check_free(self, network: IPNetwork, uuid: str) -> tuple[SubnetLease, ...]:
        """Return the leases that *uuid* may replace to lease *network*: its own, and stale ones.

        Raises:
            SubnetLeaseError: There is a live one of another prefix.
        """
        present = tuple(self._read_all(network))
        for lease in present:
            if lease.uuid != uuid and not lease.is_stale():
                raise _taken_error(network, lease)
        return present

    def _read_all(
        self, overlapping: IPNetwork | None = None, *, naming: str = ""
    ) -> Iterator[SubnetLease]:
        try:
            names = sorted(os.listdir(self._lease_dir))  # noqa: PTH208 - names are what we need
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._directory_error("read", error.strerror) from error
        for name in names:
            if overlapping is not None:
                subnet = _find_subnet(name)
                if subnet is None or not _overlap(subnet, overlapping):
                    continue
            lease = self._read(name, naming=naming)
            if lease is not None:
                yield lease

    def _read(self, name: str, *, naming: str = "") -> SubnetLease | None:
        """Return the lease in the file *name*; ``None`` where it holds none, or not *naming*."""
        subnet = _find_subnet(name)
        if subnet is None:
            return None
        try:
            raw = (self._lease_dir / name).read_bytes()
            # Of many leases few are of interest, and looking is cheaper than parsing.
            content = json.loads(raw) if naming.encode() in raw else None
        except (OSError, ValueError):
            return None
        match content:
            case [str(uuid_path), str(uuid)]:
                return SubnetLease(subnet=subnet, uuid_path=Path(uuid_path), uuid=uuid)
            case _:
                return None

    def _write(self, lease: SubnetLease) -> None:
        content = json.dumps([str(lease.uuid_path), lease.uuid])
        try:
            # Not durable: a power cut ends the VMs too, and a torn file counts as no lease.
            files.write_atomic(self._path(lease.subnet), content, durable=False)
        except LagoError as error:
            raise self._directory_error("write to", error.message) from error

    def _remove(self, lease: SubnetLease) -> None:
        try:
            self._path(lease.subnet).unlink(missing_ok=True)
        except OSError as error:
            raise self._directory_error("remove a lease from", error.strerror) from error

    def _path(self, subnet: IPNetwork) -> Path:
        return self._lease_dir / _lease_name(subnet)

    def _create_directory(self) -> None:
        try:
            self._lease_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._directory_error("make", error.strerror) from error

    @contextlib.contextmanager
    def _locked(self, purpose: str) -> Iterator[None]:
        path = self._lease_dir / _LOCK_NAME
        try:
            # Whoever makes the lock file, all users of the directory must be able to open it.
            with files.lock(path, timeout=_LOCK_SECONDS, purpose=purpose, mode=0o666):
                yield
        except SubnetLeaseError:
            raise
        except LockedError as error:
            raise SubnetLeaseError(error.message, hint=error.hint) from error
        except LagoError as error:
            raise self._directory_error("lock", error.message) from error

    def _directory_error(self, what: str, reason: str | None) -> SubnetLeaseError:
        directory = str(self._lease_dir)
        return SubnetLeaseError(
            f"cannot {what} the directory of subnet leases {directory!r}: {reason}",
            hint=f"everybody who leases must be able to write there: "
            f"sudo install -d -m 0777 {directory}; or use a private host, which leases nothing",
        )


def _parse_subnet(subnet: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(subnet)
    except ValueError as error:
        message = f"{subnet!r} is not a subnet: {error}"
        raise SubnetLeaseError(message, hint="write it as 192.168.200.0/24") from error


def _lease_name(subnet: IPNetwork) -> str:
    if isinstance(subnet, ipaddress.IPv4Network) and subnet.prefixlen == 24:
        octet = subnet.network_address.packed[2]
        if octet in _LAGO_OCTETS and subnet.subnet_of(_LAGO_RANGE):
            return f"{octet}{_LAGO_SUFFIX}"
    return str(subnet).replace("/", "_") + _OTHER_SUFFIX


@functools.lru_cache(maxsize=1024)
def _find_subnet(name: str) -> IPNetwork | None:
    """Return the subnet that a file of this name leases; ``None`` for a file of other sorts."""
    stem, dot, suffix = name.rpartition(".")
    text = {
        _LAGO_SUFFIX: f"192.168.{stem}.0/24",
        _OTHER_SUFFIX: stem.replace("_", "/"),
    }.get(dot + suffix)
    try:
        subnet = ipaddress.ip_network(text or "")
    except ValueError:
        return None
    return subnet if _lease_name(subnet) == name else None


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _taken_error(network: IPNetwork, lease: SubnetLease) -> SubnetLeaseError:
    overlap = "" if lease.subnet == network else f", which overlaps {lease.subnet},"
    return SubnetLeaseError(
        f"the subnet {network}{overlap} is leased to the prefix in {str(lease.uuid_path.parent)!r}",
        hint="choose another subnet, or destroy that prefix",
    )
