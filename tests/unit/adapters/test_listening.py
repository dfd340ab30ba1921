"""What listeners hear: their filters are run by the kernel, on packets made by hand.

A filter does the same to any socket, so a pair of unix sockets stands for a raw one here.
"""

import socket
import struct
from contextlib import closing

import pytest

from lago_sdk.adapters.listening import Listeners, has_heard, make_filter
from lago_sdk.adapters.packets import attach_filter

OWN, SECOND = "54:52:00:00:00:02", "54:52:ff:fe:01:02"
OTHER, GATEWAY = "54:52:00:00:00:03", "52:54:00:00:00:01"
ALL = "ff:ff:ff:ff:ff:ff"
GROUP6 = "33:33:00:00:00:01"
SYN, RST, ACK, PUSH, FIN = 0x02, 0x04, 0x10, 0x08, 0x01


def frame(to, source, kind, content):
    macs = bytes.fromhex((to + source).replace(":", ""))
    return (macs + struct.pack(">H", kind) + content).ljust(60, b"\0")


def ip4(protocol, content, *, options=0, fragment=0):
    size = 20 + options
    head = struct.pack(
        ">BBHHHBBH8x", 0x40 | size // 4, 0, size + len(content), 0, fragment, 64, protocol, 0
    )
    return head + bytes(options) + content


def ip6(following, content):
    return struct.pack(">IHBB32x", 6 << 28, len(content), following, 64) + content


def tcp(flags, data=b"", *, options=12):
    size = 20 + options
    return struct.pack(">HHIIBB6x", 22, 4000, 1, 1, size // 4 << 4, flags) + bytes(options) + data


def udp(port):
    return struct.pack(">HHHH", 1234, port, 12, 0) + b"data"


def hop_by_hop(content):
    return bytes((58, 0, 5, 2, 0, 0, 1, 0)) + content


def send(packet):
    """Whether a listener of OWN and SECOND hears *packet*."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(ours), closing(theirs):
        attach_filter(ours, make_filter([OWN, SECOND], [GATEWAY]))
        theirs.send(packet)
        return has_heard(ours)


@pytest.mark.parametrize(
    ("to", "source", "is_heard"),
    [
        (OWN, OTHER, True),
        (SECOND, GATEWAY, True),
        (OTHER, OWN, False),
        (OTHER, GATEWAY, False),
        (ALL, OTHER, True),
        (ALL, OWN, False),
        (GROUP6, SECOND, False),
        (GROUP6, GATEWAY, True),
        ("54:52:00:00:01:02", OTHER, False),
        ("54:53:00:00:00:02", OTHER, False),
    ],
)
def test_addresses(to, source, is_heard):
    assert send(frame(to, source, 0x0800, ip4(1, b"ping"))) is is_heard
    assert send(frame(to, source, 0x1234, b"what is this")) is is_heard


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (0x0806, b"who has"),
        (0x8035, b"here I am"),
        (0x0800, ip4(2, b"IGMP", options=4)),
        (0x0800, ip4(17, udp(68))),
        (0x0800, ip4(17, udp(67))),
        (0x0800, ip4(6, tcp(ACK))),
        (0x0800, ip4(6, tcp(ACK, options=0), options=8)),
        (0x86DD, ip6(58, bytes((134, 0)))),
        (0x86DD, ip6(58, bytes((136, 0)))),
        (0x86DD, ip6(58, bytes((143, 0)))),
        (0x86DD, ip6(0, hop_by_hop(bytes((143, 0))))),
        (0x86DD, ip6(0, hop_by_hop(bytes((131, 0))))),
        (0x86DD, ip6(17, udp(546))),
        (0x86DD, ip6(6, tcp(ACK))),
    ],
)
def test_what_keeps_a_net_going_is_not_heard(kind, content):
    assert not send(frame(OWN, OTHER, kind, content))
    assert not send(frame(ALL, OTHER, kind, content))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (0x0800, ip4(1, b"ping")),
        (0x0800, ip4(17, udp(53))),
        (0x0800, ip4(17, udp(68), fragment=100)),
        (0x0800, ip4(6, tcp(SYN))),
        (0x0800, ip4(6, tcp(FIN | ACK))),
        (0x0800, ip4(6, tcp(ACK, b"x"))),
        (0x0800, ip4(6, tcp(ACK | PUSH, b"x" * 100), options=8)),
        (0x86DD, ip6(58, bytes((128, 0)))),
        (0x86DD, ip6(58, bytes((129, 0)))),
        (0x86DD, ip6(58, bytes((138, 0)))),
        (0x86DD, ip6(0, hop_by_hop(bytes((128, 0))))),
        (0x86DD, ip6(17, udp(53))),
        (0x86DD, ip6(6, tcp(SYN))),
        (0x86DD, ip6(6, tcp(ACK, b"x"))),
        (0x86DD, ip6(44, b"a fragment")),
    ],
)
def test_what_changes_a_guest_is_heard(kind, content):
    assert send(frame(OWN, OTHER, kind, content))
    assert not send(frame(OTHER, GATEWAY, kind, content))


@pytest.mark.parametrize(("kind", "pack"), [(0x0800, ip4), (0x86DD, ip6)])
def test_resets_count_unless_the_host_refuses_what_nobody_knows(kind, pack):
    content = pack(6, tcp(RST, options=0))
    assert not send(frame(OWN, GATEWAY, kind, content))
    assert send(frame(OWN, OTHER, kind, content))


@pytest.mark.parametrize(("kind", "pack"), [(0x0800, ip4), (0x86DD, ip6)])
def test_the_end_of_a_connection_of_ours_that_was_at_rest(kind, pack):
    def send_end(source, data=b"", *, ports):
        content = pack(6, tcp(FIN | ACK, data))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with closing(ours), closing(theirs):
            attach_filter(ours, make_filter([OWN], [GATEWAY], ports))
            theirs.send(frame(OWN, source, kind, content))
            return has_heard(ours)

    assert not send_end(GATEWAY, ports=[21, 22])
    assert send_end(GATEWAY, ports=[21, 23])
    assert send_end(GATEWAY, ports=[])
    assert send_end(OTHER, ports=[22])
    assert send_end(GATEWAY, b"data", ports=[22])


def test_bridges_among_themselves():
    assert not send(frame("01:80:c2:00:00:00", GATEWAY, 38, b"BB\3"))


def test_many_nics_and_nets():
    macs = [f"54:52:00:00:{number // 256:02x}:{number % 256:02x}" for number in range(300)]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(ours), closing(theirs):
        attach_filter(ours, make_filter(macs[:64], macs[100:164]))
        theirs.send(frame(macs[64], OTHER, 0x0800, ip4(1, b"ping")))
        assert not has_heard(ours)
        theirs.send(frame(macs[63], OTHER, 0x0800, ip4(1, b"ping")))
        assert has_heard(ours)


def test_listeners_are_known_by_token_and_replaced_by_vm():
    listeners = Listeners()
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
    listeners.add("web", "a", pairs[0][0])
    listeners.add("db", "b", pairs[1][0])
    assert listeners.heard() == {"a": False, "b": False}
    pairs[1][1].send(b"x")
    assert listeners.heard() == {"a": False, "b": True}
    listeners.add("db", "c", pairs[2][0])
    assert listeners.heard() == {"a": False, "c": False}
    listeners.close()
    assert listeners.heard() == {}
    for _, theirs in pairs:
        theirs.close()
