"""Clients of VNC and SPICE that get as far as the password is known to be right or wrong."""

import socket
import struct

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.serialization import load_der_public_key

VNC_PASSWORD = 2
"""The security type "VNC Authentication" (RFC 6143, 7.1.2)."""


def read(connection, count):
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        assert chunk, f"closed after {data!r}"
        data += chunk
    return data


def log_in_to_vnc(address, password):
    """Security types that are offered, and whether *password* is right (RFC 6143, 7.1 and 7.2)."""
    with socket.create_connection(address, timeout=20) as connection:
        version = read(connection, 12)
        assert version.startswith(b"RFB 003.")
        connection.sendall(b"RFB 003.008\n")
        types = set(read(connection, read(connection, 1)[0]))
        connection.sendall(bytes([VNC_PASSWORD]))
        challenge = read(connection, 16)
        key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode().ljust(8, b"\0")[:8])
        des = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()  # three times the same is DES
        connection.sendall(des.update(challenge) + des.finalize())
        (result,) = struct.unpack(">I", read(connection, 4))
        return types, result == 0


def log_in_to_spice(address, password):
    """Whether *password* is right (the SPICE protocol's link messages)."""
    with socket.create_connection(address, timeout=20) as connection:
        main_channel, capabilities = 1, 1 << 0 | 1 << 1 | 1 << 3  # authentication chosen, SPICE's
        body = struct.pack("<IBBIII", 0, main_channel, 0, 1, 0, 18)
        body += struct.pack("<I", capabilities)
        connection.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(body)) + body)
        magic, _, _, size = struct.unpack("<4sIII", read(connection, 16))
        assert magic == b"REDQ"
        reply = read(connection, size)
        (error,) = struct.unpack("<I", reply[:4])
        assert error == 0
        public_key = load_der_public_key(reply[4 : 4 + 162])
        sha1 = hashes.SHA1()
        oaep = padding.OAEP(mgf=padding.MGF1(algorithm=sha1), algorithm=sha1, label=None)
        ticket = public_key.encrypt(password.encode() + b"\0", oaep)
        connection.sendall(struct.pack("<I", 1) + ticket)
        (result,) = struct.unpack("<I", read(connection, 4))
        return result == 0
