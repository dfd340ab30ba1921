"""How much a repeated ``vm.ssh("true")`` costs over a bare exec on an open paramiko transport.

``python benchmarks/ssh_latency.py`` boots a tiny VM. Both are measured in turns on one connection
each, so that other load of the machine hits both alike.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

import paramiko

from lago_sdk import Config, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 1.3
AT_ONCE = 10
ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
SPEC = {
    "domains": {"solo": {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT]}},
    "nets": {"lan": {"type": "nat", "management": True}},
}


def open_transport(prefix: Prefix) -> paramiko.Transport:
    """Log in as anybody would who has paramiko, and a socket into the prefix's networks."""
    vm = prefix.vms["solo"]
    sock = prefix.context.world.host.dial(str(vm.ip), 22, timeout=10)
    # Without it the floor would wait 40 ms for delayed acknowledgements, and not be one.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    transport.start_client(timeout=30)
    key = paramiko.PKey.from_path(prefix.path / "id_ed25519")
    transport.auth_publickey("root", key)
    return transport


def bare_exec(transport: paramiko.Transport) -> None:
    """The least that paramiko's users do."""
    channel = transport.open_session()
    channel.exec_command("true")
    channel.recv_exit_status()
    channel.close()


def measure(action: Callable[[], object]) -> float:
    """Mean time in seconds of an action over AT_ONCE runs."""
    begin = time.perf_counter()
    for _ in range(AT_ONCE):
        action()
    return (time.perf_counter() - begin) / AT_ONCE


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="of each")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        Prefix.create(SPEC, workdir=f"{directory}/w", config=Config.load(), ephemeral=True) as lab,
    ):
        lab.start()
        vm = lab.vms["solo"]
        transport = open_transport(lab)
        floors, ours = [], []
        for _ in range(options.runs // AT_ONCE):
            floors.append(measure(lambda: bare_exec(transport)))
            ours.append(measure(lambda: vm.ssh("true").check()))
        transport.close()
    floor, own = statistics.median(floors), statistics.median(ours)
    print(f"bare exec             {floor * 1000:8.2f} ms")
    print(f'vm.ssh("true")        {own * 1000:8.2f} ms')
    print(f"ratio                 {own / floor:8.2f}    (budget {BUDGET})")


if __name__ == "__main__":
    main()
