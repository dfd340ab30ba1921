"""Listens for packets to VMs, without reading any: whether one came is all that is asked.

A listener is a raw socket of Linux (packet(7)) on all devices of a network namespace, with a
filter that the kernel runs. It depends on addresses alone: devices of VMs come and go. Whoever
keeps the socket learns of the first packet by its becoming readable, and can close it then.

What keeps a net going passes unheard, or nobody would ever be at rest: ARP, neighbour and router
discovery (RFC 4861), group membership (RFC 3376, RFC 3810), DHCP, what bridges tell each other
(IEEE 802.1D), and the RARP by which QEMU announces a VM that it has loaded. So do TCP segments
that carry nothing and neither open nor close a connection: they answer what the VM itself sent.
After a revert that is what it sends again, over connections of then that nobody else knows any
more; so the resets by which the host refuses it do not count either, nor does the end of our own
connections that were at rest.
"""

from __future__ import annotations

import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from lago_sdk.adapters.packets import EVERY_PROTOCOL, attach_filter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

PROTOCOL = socket.htons(EVERY_PROTOCOL)
"""The protocol of a socket that can be made a listener."""

# The language is that of bpf_asm (Documentation/networking/filter.rst of Linux).
_NOISE = """
        ldh [12]
        jeq #0x0806, drop           ; ARP
        jeq #0x8035, drop           ; RARP
        jeq #0x86dd, ip6
        jeq #0x0800, ip4, others

ip4:    ldh [20]
        jset #0x1fff, others        ; a later fragment, which has no header
        ldx 4*([14]&0xf)
        ldb [23]
        jeq #2, drop                ; IGMP
        jeq #17, udp4
        jeq #6, tcp4, others
udp4:   ldh [x+16]
        jeq #67, drop
        jeq #68, drop, others
tcp4:   ldb [x+27]
        jset #0x02, others          ; SYN
        ldb [x+26]
        rsh #4
        lsh #2
        add x
        tax
        ldh [16]
        jeq x, bare4, others        ; all of the packet are headers
bare4:  ldx 4*([14]&0xf)
        ldb [x+27]
        jset #0x04, reset           ; RST
        jset #0x01, fin4, drop
fin4:   ldh [x+14]
        {ports}
        ja others

ip6:    ldb [20]
        jeq #0, hops
        jeq #58, icmp6
        jeq #17, udp6
        jeq #6, tcp6, others
hops:   ldb [54]
        jeq #58, mld, others
mld:    ldb [62]
        ja type
icmp6:  ldb [54]
type:   jeq #143, drop
        jgt #137, others
        jge #130, drop, others
udp6:   ldh [56]
        jeq #546, drop
        jeq #547, drop, others
tcp6:   ldb [67]
        jset #0x02, others
        ldb [66]
        rsh #4
        lsh #2
        tax
        ldh [18]
        jeq x, bare6, others
bare6:  ldb [67]
        jset #0x04, reset
        jset #0x01, fin6, drop
fin6:   ldh [54]
        {ports}
        ja others

reset:  ja resets
others: ld [0]
        jeq #0x0180c200, drop, addresses
drop:   ret #0
"""
_GROUP = "ldb [0]\njset #1, {label}\nret #0\n{label}:"
_HEAR = "ret #1"
_IGNORE = "ret #0"
_TARGET, _SOURCE = 0, 6
"""Where a frame has its addresses."""

# linux/filter.h: what is loaded, computed or compared, and with what.
_CODES = {
    "ld [k]": 0x20,
    "ldh [k]": 0x28,
    "ldb [k]": 0x30,
    "ldh [x+k]": 0x48,
    "ldb [x+k]": 0x50,
    "ldx 4*([k]&0xf)": 0xB1,
    "rsh #k": 0x74,
    "lsh #k": 0x64,
    "add x": 0x0C,
    "tax": 0x07,
    "ja": 0x05,
    "jeq #k": 0x15,
    "jeq x": 0x1D,
    "jgt #k": 0x25,
    "jge #k": 0x35,
    "jset #k": 0x45,
    "ret #k": 0x06,
}
_LABEL = re.compile(r"(\w+):(.*)")
_NUMBER = re.compile(r"(?<=[\[#+])(0x[0-9a-f]+|\d+)")
_SMALLEST_QUEUE = 1
"""The kernel makes its own least of it, which holds the one packet that is needed."""


def make_filter(
    macs: Collection[str], gateways: Collection[str], ports: Collection[int] = ()
) -> bytes:
    """Return the filter for a VM, as instructions for the kernel (``struct sock_filter``).

    Args:
        macs: Addresses of its nics, such as ``54:52:c0:a8:c8:02``.
        gateways: Addresses of the host in its nets.
        ports: TCP ports of the host that connections to it have which are at rest: their end
            is not heard.
    """
    ends = "\n".join(f"jeq #{port}, reset" for port in ports)
    lines = [_NOISE.format(ports=ends), "addresses:", *_match_addresses(macs, "group"), "resets:"]
    for number, mac in enumerate(gateways):
        lines += _match(mac, _SOURCE, _IGNORE, f"gateway{number}")
    lines += _match_addresses(macs, "reset_group")
    return assemble("\n".join(lines))


def start_listener(raw: socket.socket, instructions: bytes) -> None:
    """Make a listener of an ``AF_PACKET`` socket of the protocol `PROTOCOL`, bound to no device.

    Args:
        raw: The socket.
        instructions: What `make_filter` returned.

    Raises:
        OSError: The kernel does not let us.
    """
    raw.settimeout(0)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALLEST_QUEUE)
    attach_filter(raw, instructions)
    with suppress(BlockingIOError):
        while True:
            raw.recv(1)  # what came before there was a filter


class Listeners:
    """Listeners that our own process keeps; safe to use from several threads."""

    def __init__(self) -> None:
        self._sockets: dict[str, tuple[str, socket.socket]] = {}

    def add(self, vm: str, token: str, listener: socket.socket) -> None:
        """Keep *listener* for *vm*, in place of the one before."""
        before = self._sockets.pop(vm, None)
        self._sockets[vm] = (token, listener)
        if before is not None:
            before[1].close()

    def heard(self) -> Mapping[str, bool]:
        """Return whether anything came, by token."""
        return {token: has_heard(kept) for token, kept in tuple(self._sockets.values())}

    def close(self) -> None:
        """Stop listening."""
        while self._sockets:
            with suppress(KeyError):
                self._sockets.popitem()[1][1].close()


def has_heard(listener: socket.socket) -> bool:
    """Whether a packet has come since the listener was opened; it stays there."""
    try:
        listener.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # it is gone, and what is not known counts
    return True


def assemble(text: str) -> bytes:
    """Translate a filter; jumps lead forward, and lack the second target where they go on."""
    places: dict[str, int] = {}
    steps: list[str] = []
    for line in text.splitlines():
        words = line.partition(";")[0].strip()
        label = _LABEL.fullmatch(words)
        if label is not None:
            places[label[1]] = len(steps)
            words = label[2].strip()
        if words:
            steps.append(words)
    return b"".join(_translate(step, here, places) for here, step in enumerate(steps))


def _translate(step: str, here: int, places: Mapping[str, int]) -> bytes:
    words, *targets = (part.strip() for part in step.split(","))
    if words.startswith("ja "):
        return struct.pack("=HBBI", _CODES["ja"], 0, 0, places[words[3:]] - here - 1)
    found = _NUMBER.search(words)
    operand = 0 if found is None else int(found[0], 0)
    code = _CODES[_NUMBER.sub("k", words, count=1)]
    jumps = [places[target] - here - 1 for target in targets]
    yes, no = (*jumps, 0, 0)[:2]
    return struct.pack("=HBBI", code, yes, no, operand)


def _match_addresses(macs: Iterable[str], name: str) -> list[str]:
    """Hear what is for one of *macs*, or for a group and not from one of them."""
    lines: list[str] = []
    for number, mac in enumerate(macs):
        lines += _match(mac, _TARGET, _HEAR, f"{name}_to{number}")
    lines.append(_GROUP.format(label=name))
    for number, mac in enumerate(macs):
        lines += _match(mac, _SOURCE, _IGNORE, f"{name}_from{number}")
    return [*lines, _HEAR]


def _match(mac: str, place: int, then: str, name: str) -> list[str]:
    """Do *then* where a frame has *mac* at *place*, and go on elsewhere."""
    digits = mac.replace(":", "")
    return [
        f"ld [{place + 2}]",
        f"jeq #0x{digits[4:]}, {name}, {name}_not",
        f"{name}: ldh [{place}]",
        f"jeq #0x{digits[:4]}, {name}_is, {name}_not",
        f"{name}_is: {then}",
        f"{name}_not:",
    ]
