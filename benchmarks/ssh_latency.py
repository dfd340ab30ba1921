"""How much a repeated ``run("true")`` costs over a bare exec on an open paramiko transport.

Give it a guest that runs: ``python benchmarks/ssh_latency.py ADDRESS PORT USER KEY``. Both are
measured in turns on one connection each, so that other load of the machine hits both alike.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from lago_sdk.adapters.ssh import SSHGuest
from lago_sdk.ports import SSHTarget

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 1.3
ROUNDS = 20
RUNS = 10


def dial(address: str, port: int, timeout: float) -> socket.socket:
    """Connect directly: the guest is in our own network."""
    sock = socket.create_connection((address, port), timeout=timeout)
    sock.settimeout(None)
    # Without it the floor would wait 40 ms for delayed acknowledgements, and not be one.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def bare_exec(transport: paramiko.Transport) -> None:
    """The least that paramiko's users do."""
    channel = transport.open_session()
    channel.exec_command("true")
    channel.recv_exit_status()
    channel.close()


def seconds(action: Callable[[], object]) -> float:
    """Mean time of an action over RUNS runs."""
    begin = time.perf_counter()
    for _ in range(RUNS):
        action()
    return (time.perf_counter() - begin) / RUNS


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("user")
    parser.add_argument("key", type=Path)
    options = parser.parse_args()
    transport = paramiko.Transport(dial(options.address, options.port, 10))
    transport.start_client(timeout=30)
    transport.auth_publickey(options.user, paramiko.PKey.from_path(options.key))
    with tempfile.TemporaryDirectory() as directory:
        target = SSHTarget(
            vm="guest",
            address=options.address,
            port=options.port,
            user=options.user,
            key_path=options.key,
            host_keys_path=Path(directory) / "known_hosts",
            host_key_alias="guest",
        )
        guest = SSHGuest(target, dial)
        login = seconds_of_login(guest)
        floors, ours = [], []
        for _ in range(ROUNDS):
            floors.append(seconds(lambda: bare_exec(transport)))
            ours.append(seconds(lambda: guest.run("true").check()))
        guest.close()
    transport.close()
    floor, own = statistics.median(floors), statistics.median(ours)
    print(f"login                 {login * 1000:8.2f} ms")
    print(f"bare exec             {floor * 1000:8.2f} ms")
    print(f'run("true")           {own * 1000:8.2f} ms')
    print(f"ratio                 {own / floor:8.2f}    (budget {BUDGET})")


def seconds_of_login(guest: SSHGuest) -> float:
    """Time of a first login to a server that is up, paramiko being imported."""
    begin = time.perf_counter()
    guest.wait(timeout=60, explain=str)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
