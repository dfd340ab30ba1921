"""Ports of our loopback that are passed on, and packets as the kernel tells them."""

import os
import socket
import struct
import subprocess
import sys
import threading

import pytest

from lago_sdk.adapters import packets, relays
from lago_sdk.errors import CaptureError, HostError


@pytest.fixture
def echo():
    """A server that sends everything back; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def read_all(connection):
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def test_bytes_go_both_ways_and_so_do_ends(echo):
    relay = relays.open_relay(lambda: socket.create_connection(echo), local_port=0)
    sent = os.urandom(300_000)
    with socket.create_connection(relay.address, timeout=10) as connection:
        sender = threading.Thread(
            target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR))
        )
        sender.start()
        assert read_all(connection) == sent
        sender.join()
    relay.close()


def test_connections_end_with_the_relay(echo):
    relay = relays.open_relay(lambda: socket.create_connection(echo), local_port=0)
    first = socket.create_connection(relay.address, timeout=10)
    with first:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        for _again in range(2):
            relay.close()
        assert first.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(relay.address, timeout=10)


def test_a_connection_that_leads_nowhere_is_closed():
    def refuse():
        raise HostError("down")

    relay = relays.open_relay(refuse, local_port=0)
    with socket.create_connection(relay.address, timeout=10) as connection:
        assert connection.recv(1) == b""
    relay.close()


def test_a_port_that_is_taken_is_told(echo):
    with pytest.raises(HostError, match=f"port {echo[1]}: .*in use") as caught:
        relays.open_relay(lambda: socket.create_connection(echo), local_port=echo[1])
    assert "another port" in caught.value.hint


def test_the_viewer_reads_the_password_from_a_file_of_ours(tmp_path, monkeypatch):
    program = tmp_path / "remote-viewer"
    program.write_text(
        f'#!/bin/sh\nstat -c %a "$1" > {tmp_path}/seen; cat "$1" >> {tmp_path}/seen\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    relays.run_viewer("[virt-viewer]\npassword=secret\n")
    assert (tmp_path / "seen").read_text() == "600\n[virt-viewer]\npassword=secret\n"


def test_a_vlan_tag_is_put_back_where_it_was():
    frame = bytes(range(12)) + b"\x08\x00payload"
    auxiliary = struct.pack("=IIIHHHH", packets._VLAN_VALID, 1000, len(frame), 0, 14, 42, 0)
    moment = struct.pack("@ll", 3, 7)
    found = packets._read_packet(frame, [(263, 8, auxiliary), (socket.SOL_SOCKET, 35, moment)])
    assert found.data == bytes(range(12)) + b"\x81\x00\x00\x2a" + b"\x08\x00payload"
    assert (found.length, found.time) == (1004, 3_000_000_007)


def test_a_filter_becomes_instructions_of_the_kernel():
    code = packets.compile_filter(["icmp"])
    assert len(code) % 8 == 0
    assert struct.unpack("=HBBI", code[:8]) == (0x28, 0, 0, 12)  # load the type of the frame
    for words in (["not a filter"], ["-i", "lo"], ["-r/etc/passwd"]):
        with pytest.raises(CaptureError, match="is no filter: "):
            packets.compile_filter(words)


def test_on_the_system_host_only_root_may_listen():
    code = """if True:
        import os
        from lago_sdk.adapters import packets
        from lago_sdk.adapters.hosts.system import SystemHost
        from lago_sdk.config import Config
        from lago_sdk.errors import CaptureError
        host = SystemHost(uri="qemu:///system", uuid="0" * 32, accel=Config().accel)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        try:
            host.open_tap("lo", snaplen=100)
        except CaptureError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "are for root alone" in done.stdout
    assert "use a private host" in done.stdout
