"""The cipher that paramiko lacks, against a real OpenSSH and a real dropbear on loopback."""

import hashlib
import os
from contextlib import closing

import paramiko
import pytest
from ssh_servers import dial, make_dropbear, make_sshd

from lago_sdk.adapters.ssh import chacha
from lago_sdk.adapters.ssh.transport import Transport, create_transport

BLOB = os.urandom(3_000_000)


def make_rekeying_sshd(directory):
    return make_sshd(directory, f"Ciphers {chacha.NAME}", "RekeyLimit 1M")


@pytest.fixture(
    scope="module", params=[make_rekeying_sshd, make_dropbear], ids=["openssh", "dropbear"]
)
def server(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


def log_in(transport, server):
    transport.start_client(timeout=20)
    target = server.target()
    transport.auth_publickey(target.user, paramiko.PKey.from_path(target.key_path))


def test_dropbear_and_openssh_take_it_by_themselves(server):
    with closing(server.guest()) as guest, guest.session() as channel:
        assert channel.transport.local_cipher == chacha.NAME
        assert channel.transport.remote_cipher == chacha.NAME


def test_much_goes_both_ways_and_new_keys_are_agreed_on_meanwhile(server):
    with closing(server.guest()) as guest:
        said = guest.run("sha256sum", input=BLOB).check().out.split()[0]
        assert said == hashlib.sha256(BLOB).hexdigest()
        with guest.stream("cat", input=BLOB) as stream:
            assert stream.read() == BLOB


@pytest.mark.parametrize("strict", [True, False])
def test_packets_are_numbered_with_and_without_strict_key_exchange(server, strict):
    sock = dial("127.0.0.1", server.port, 10)
    transport = Transport(sock, packetizer_class=chacha.ChaChaPacketizer, strict_kex=strict)
    transport.get_security_options().ciphers = (chacha.NAME,)
    try:
        log_in(transport, server)
        channel = transport.open_session(timeout=10)
        channel.exec_command("echo fine")
        assert channel.makefile().read() == b"fine\n"
    finally:
        transport.end()


def test_what_was_changed_on_the_way_is_refused():
    sealer, opener = chacha.ChaChaPoly(bytes(range(64))), chacha.ChaChaPoly(bytes(range(64)))
    sealed = sealer.encrypt(b"", b"12345678", b"\0\0\0\x08")
    length = sealer.take_length()
    assert length != b"\0\0\0\x08"
    assert opener.decrypt_length(length) == b"\0\0\0\x08"
    assert opener.decrypt(b"", sealed, b"") == b"12345678"
    for place in (0, len(sealed) - 1):
        forged = bytearray(sealed)
        forged[place] ^= 1
        with pytest.raises(paramiko.SSHException, match="MAC"):
            opener.decrypt(b"", bytes(forged), b"")
    opener.number = 1
    with pytest.raises(paramiko.SSHException, match="MAC"):
        opener.decrypt(b"", sealed, b"")


def test_a_length_that_cannot_be_one_is_refused():
    sealer, opener = chacha.ChaChaPoly(bytes(64)), chacha.ChaChaPoly(bytes(64))
    for length in (b"\0\0\0\0", b"\xff\0\0\0"):
        sealer.encrypt(b"", b"", length)
        with pytest.raises(paramiko.SSHException, match="length"):
            opener.decrypt_length(sealer.take_length())


def test_without_it_there_is_aes(server, monkeypatch):
    monkeypatch.setattr(chacha, "is_supported", lambda: False)
    transport = create_transport(dial("127.0.0.1", server.port, 10), None)
    assert chacha.NAME not in transport.get_security_options().ciphers
    transport.end()
