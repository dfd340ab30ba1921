"""What can be seen of VMs that run: pictures, displays, load, packets."""

import json
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager

import pytest

from functional.desktops import VNC_PASSWORD, log_in_to_spice, log_in_to_vnc
from lago_sdk import CaptureError, Config, GraphicsType, Prefix, VMError, VMState

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}


def domain(**changes):
    return {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT], **changes}


SPEC = {
    "domains": {"web": domain(graphics="vnc"), "db": domain(graphics="spice")},
    "nets": {"lan": {"management": True}},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("seeing") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture
def web(lab):
    return lab.vms["web"]


def run(lab, *words, code=0, **options):
    command = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, **options)
    assert done.returncode == code, done.stderr.decode()
    return done


@contextmanager
def running(lab, *words, **options):
    """A lagoctl that goes on until the end of the block; its standard output is read."""
    command = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def decode_png(data):
    """Width, height and the colors of the pixels of a true-color PNG (filters undone)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, packed = 8, b""
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + content)
        if kind == b"IHDR":
            width, height, depth, color, *_ = struct.unpack(">IIBBBBB", content)
        packed += content if kind == b"IDAT" else b""
        place += 12 + length
    assert (kind, depth, color) == (b"IEND", 8, 2)
    lines = zlib.decompress(packed)
    assert len(lines) == height * (1 + 3 * width)
    return width, height, {bytes(row) for row in undo_filters(lines, 3 * width)}


def undo_filters(lines, size):
    """The lines of a PNG as they were (https://www.w3.org/TR/png/#9Filters)."""
    above = bytearray(size)
    for start in range(0, len(lines), size + 1):
        kind, row = lines[start], bytearray(lines[start + 1 : start + 1 + size])
        for i in range(size):
            left = row[i - 3] if i >= 3 else 0
            corner = above[i - 3] if i >= 3 else 0
            guess = (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner))
            row[i] = (row[i] + guess[kind]) & 0xFF
        yield row
        above = row


def paeth(left, above, corner):
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))


class TestScreenshot:
    def test_it_is_a_picture_of_text(self, web, tmp_path):
        path = tmp_path / "web.png"
        shot = web.screenshot(path)
        assert path.read_bytes() == shot.data
        width, height, rows = decode_png(shot.data)
        assert (width, height) == (shot.width, shot.height)
        assert len(rows) > 5, "nothing is written there"

    @pytest.mark.root_only
    def test_lagoctl_writes_a_file_or_standard_output(self, lab, tmp_path):
        run(lab, "screenshot", "web", cwd=tmp_path)
        assert (tmp_path / "web.png").read_bytes().startswith(b"\x89PNG")
        assert run(lab, "screenshot", "web", "-").stdout.startswith(b"\x89PNG")


class TestDisplays:
    def test_vnc_takes_the_password_and_nothing_else(self, web):
        with web.open_display() as graphics:
            assert graphics.kind is GraphicsType.VNC
            address = (graphics.host, graphics.port)
            assert log_in_to_vnc(address, graphics.password) == ({VNC_PASSWORD}, True)
            assert log_in_to_vnc(address, "wrong") == ({VNC_PASSWORD}, False)

    @pytest.mark.root_only
    def test_spice_takes_the_password_and_nothing_else(self, lab):
        with lab.vms["db"].open_display() as graphics:
            assert graphics.kind is GraphicsType.SPICE
            address = (graphics.host, graphics.port)
            assert log_in_to_spice(address, graphics.password)
            assert not log_in_to_spice(address, "wrong")

    def test_only_loopback_listens_and_the_password_is_secret(self, lab, web):
        assert web.graphics.host == "127.0.0.1"
        listening = lab.context.world.host.run(["ss", "-Hltn"]).check().out
        assert f"127.0.0.1:{web.graphics.port} " in listening
        assert f"0.0.0.0:{web.graphics.port} " not in listening
        path = lab.path / "display-passwords" / "web"
        assert path.stat().st_mode & 0o777 == 0o600
        logs = [file.read_text(errors="replace") for file in (lab.path / "logs").rglob("*.log")]
        assert not any(web.graphics.password in text for text in logs)

    @pytest.mark.private_only
    def test_lagoctl_forwards_until_it_is_interrupted(self, lab, web):
        with running(lab, "display", "web", "-f", "json") as process:
            told = json.loads(process.stdout.readline())
            address = (told["host"], told["port"])
            assert log_in_to_vnc(address, told["password"]) == ({VNC_PASSWORD}, True)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)

    @pytest.mark.root_only
    def test_a_port_of_the_guest_is_ours(self, lab, web):
        with web.forward(22) as address:
            assert str(address) == f"127.0.0.1:{address.port}"
            for _ in range(2):
                with socket.create_connection(address, timeout=20) as connection:
                    assert connection.recv(4) == b"SSH-"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        with running(lab, "forward", "web", "22") as process:
            host, _, port = process.stdout.readline().decode().strip().rpartition(":")
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                assert connection.recv(4) == b"SSH-"


@pytest.mark.root_only
class TestLoad:
    def test_what_a_busy_vm_uses_is_counted(self, lab, web):
        before = web.usage
        assert before.state is VMState.RUNNING
        assert before.memory == 192 << 20
        assert before.resident > 10 << 20
        web.ssh(
            "dd if=/dev/zero of=/root/big bs=1M count=8 conv=fsync; cat /dev/zero | head -c 3000000"
        ).check()
        load = web.usage.since(before)
        assert load.usage.disk_written - before.disk_written >= 8 << 20
        assert load.usage.net_sent - before.net_sent >= 3_000_000
        assert load.cpu_percent > 1
        idle, busy = next(lab.watch_usage(0.2, ["db"]))[0], load
        assert idle.net_send_rate < busy.net_send_rate

    def test_lagoctl_top_prints_lines_of_json_and_tables(self, lab):
        lines = run(lab, "top", "-n", "2", "--interval", "0.2", "-f", "json").stdout.splitlines()
        first, second = [json.loads(line) for line in lines]
        assert set(first["vms"]) == set(second["vms"]) == {"web", "db"}
        assert second["vms"]["web"]["cpu_percent"] >= 0
        table = run(lab, "top", "-n", "1", "--interval", "0.2", "web").stdout.decode()
        assert table.splitlines()[0].split()[:2] == ["VM", "STATE"]
        assert len(table.splitlines()) == 2


def read_with_tshark(path, *fields):
    """The fields of all packets, a list of texts for each."""
    names = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", *names],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


class TestCapture:
    def test_all_that_passes_between_two_vms_is_there(self, lab, web, tmp_path):
        db = lab.vms["db"]
        web.ssh(f"ip neigh flush all; ping -c 1 -W 5 {db.ip}")  # both are awake
        path = tmp_path / "lan.pcap"
        with lab.nets["lan"].capture(path) as capture:
            web.ssh(f"ip neigh flush dev eth0; ping -c 5 -i 0.2 {db.ip}; nc {db.ip} 22 < /dev/null")
            assert capture.is_running
        report = capture.stop()
        assert (report.lost, report.size) == (0, path.stat().st_size)
        rows = read_with_tshark(path, "frame.protocols", "ip.src", "icmp.type", "tcp.dstport")
        assert len(rows) == report.packets
        assert any("arp" in protocols for protocols, *_ in rows)
        assert sum(kind == "0" and source == db.ip for _, source, kind, _ in rows) == 5
        assert any(port == "22" and source == web.ip for _, source, _, port in rows)
        check_with_scapy(path, web.ip, db.ip)

    def test_a_filter_and_a_nic_and_the_last_packets(self, lab, web, tmp_path):
        db = lab.vms["db"]
        for _ in range(3):
            with (
                lab.nets["lan"].capture(tmp_path / "a.pcap", filter="icmp") as net,
                db.capture(tmp_path / "b.pcap", filter=["icmp", "and", "src", web.ip]) as nic,
            ):
                web.ssh(f"ping -c 2 -i 0.2 {db.ip}").check()
            assert (net.stop().packets, nic.stop().packets) == (4, 2)

    @pytest.mark.root_only
    def test_what_makes_no_sense_is_told(self, lab, web, tmp_path):
        lan = lab.nets["lan"]
        with pytest.raises(CaptureError, match="is no filter: "):
            lan.capture(tmp_path / "x.pcap", filter="not a filter")
        with pytest.raises(VMError, match="no nic 7"):
            web.capture(tmp_path / "x.pcap", nic=7)
        with pytest.raises(CaptureError, match="cannot be written"):
            lan.capture(tmp_path / "no" / "x.pcap")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.root_only
    def test_lagoctl_streams_to_tshark(self, lab, web):
        words = ["capture", "lan", "-o", "-", "--count", "4", "icmp"]
        command = shlex.join([sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words])
        shell = f"{command} | tshark -n -i - -T fields -e icmp.type"
        with subprocess.Popen(shell, shell=True, stdout=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                web.ssh(f"ping -c 1 {lab.vms['db'].ip}")
            assert process.stdout.read().split() == ["8", "0", "8", "0"]

    @pytest.mark.root_only
    def test_lagoctl_writes_what_came_before_it_was_interrupted(self, lab, web, tmp_path):
        path = tmp_path / "lan.pcap"
        with running(lab, "capture", "lan", "-o", str(path)):
            deadline = time.monotonic() + 60
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            web.ssh("ping -c 1 " + lab.vms["db"].ip)
        rows = read_with_tshark(path, "icmp.type")
        assert ["8"] in rows


def check_with_scapy(path, *addresses):
    from scapy.layers.inet import ICMP, IP
    from scapy.utils import rdpcap

    packets = [packet for packet in rdpcap(str(path)) if ICMP in packet]
    assert {packet[IP].src for packet in packets} == set(addresses)
    assert all(abs(float(packet.time) - time.time()) < 600 for packet in packets)


@pytest.mark.root_only
class TestStopped:
    def test_a_vm_that_is_off_is_told_by_every_verb(self, lab):
        lab.stop(["db"])
        for words in (["screenshot", "db", "-"], ["display", "db"], ["capture", "db", "-o", "x"]):
            done = run(lab, *words, code=2)
            assert b"'db' is not running" in done.stderr
            assert b"lagoctl start db" in done.stderr
        assert lab.vms["db"].usage.cpu_seconds == 0
