"""How long a prefix takes to answer ssh, beside the same QEMUs started by hand.

Usage: ``python benchmarks/boot.py [--vms N] [--runs N] [--template NAME]``

Each run makes a prefix of N VMs and times ``create`` and ``start``. The floor is measured in
the same run: the same overlays and seeds under ``qemu-system-x86_64`` command lines with user
networking, started together, until a login works on each. Absolute times depend on the
machine; look at the ratios.
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from lago_sdk import Prefix, VMPlan
from lago_sdk.adapters.process import get_tool
from lago_sdk.adapters.ssh import SSHGuest
from lago_sdk.ports import SSHTarget


def make_spec(count: int, template: str) -> dict[str, object]:
    vms = {
        f"vm{index}": {
            "memory": 256,
            "vcpu": 1,
            "nics": [{"net": "lan"}],
            "disks": [
                {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
            ],
        }
        for index in range(count)
    }
    return {"domains": vms, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_qemu(prefix: Prefix, vm: VMPlan, port: int) -> subprocess.Popen[bytes]:
    nic = vm.nics[0]
    argv = [
        *(get_tool("qemu-system-x86_64"), "-machine", "q35,accel=tcg", "-cpu", "max"),
        *("-smp", str(vm.spec.vcpu), "-m", str(vm.spec.memory), "-display", "none", "-nodefaults"),
        *("-serial", f"file:{prefix.path / 'logs' / (vm.name + '.hand.log')}"),
        *("-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=n,mac={nic.mac}"),
        *("-drive", f"file={prefix.path / vm.disks[0].path},format=qcow2,if=virtio"),
        *("-drive", f"file={prefix.path / str(vm.seed)},format=raw,if=virtio,readonly=on"),
        *("-device", "virtio-rng-pci"),
    ]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL)


def wait_by_hand(prefix: Prefix, vm: VMPlan, port: int) -> None:
    target = SSHTarget(
        vm=vm.name,
        address="127.0.0.1",
        port=port,
        key_path=prefix.path / "id_ed25519",
        host_keys_path=prefix.path / "known_hosts",
        host_key_alias=vm.name,
    )
    guest = SSHGuest(
        target, lambda host, to, timeout: socket.create_connection((host, to), timeout)
    )
    guest.wait(timeout=300, explain=lambda: "started by hand")
    guest.close()


def time_by_hand(spec: dict[str, object], workdir: Path) -> float:
    with ExitStack() as stack:
        prefix = stack.enter_context(Prefix.create(spec, workdir=workdir, name="hand"))
        begin = time.monotonic()
        waits = []
        for vm in prefix.plan.vms:
            port = free_port()
            process = start_qemu(prefix, vm, port)
            stack.callback(process.wait)
            stack.callback(process.send_signal, signal.SIGTERM)
            waits.append(threading.Thread(target=wait_by_hand, args=(prefix, vm, port)))
        for wait in waits:
            wait.start()
        for wait in waits:
            wait.join()
        return time.monotonic() - begin


def time_prefix(spec: dict[str, object], workdir: Path) -> tuple[float, float]:
    begin = time.monotonic()
    with Prefix.create(spec, workdir=workdir, name="lab") as prefix:
        created = time.monotonic()
        prefix.start()
        return created - begin, time.monotonic() - created


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--template", default="tiny")
    options = parser.parse_args()
    print(f"{'VMs':>3}  {'create':>7}  {'start':>7}  {'by hand':>7}  start/hand  up/hand")
    for count in options.vms:
        spec = make_spec(count, options.template)
        rows = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as workdir:
                hand = time_by_hand(spec, Path(workdir, "w"))
            with tempfile.TemporaryDirectory() as workdir:
                rows.append((*time_prefix(spec, Path(workdir, "w")), hand))
        create, start, hand = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(row[1] / row[2] for row in rows)
        whole = statistics.median((row[0] + row[1]) / row[2] for row in rows)
        print(
            f"{count:>3}  {create:6.2f}s  {start:6.2f}s  {hand:6.2f}s  {ratio:10.2f}  {whole:7.2f}"
        )


if __name__ == "__main__":
    main()
