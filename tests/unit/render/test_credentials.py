"""What systemd's credentials tell a guest."""

from base64 import b64decode

import attrs
from libvirt_cases import NETS_OF_VMS, nic_plan, vm_plan

from lago_sdk.render.credentials import render_credentials
from lago_sdk.spec import Bootstrap

VM = vm_plan(nics=(nic_plan(),), road=Bootstrap.CREDENTIALS)


def credentials(vm):
    found = {}
    for text in render_credentials(vm, nets=NETS_OF_VMS, public_keys=["ssh-ed25519 AAAA me\n"]):
        head, _, value = text.partition("=")
        kind, _, name = head.partition(":")
        assert kind == "io.systemd.credential.binary"
        found[name] = b64decode(value, validate=True).decode()
    return found


def files(lines):
    rows = [line.split(" ") for line in lines.splitlines()]
    return {row[1]: b64decode(row[6]).decode() for row in rows if row[0] == "f+~"}


def test_root_lets_the_key_in():
    assert credentials(VM)["ssh.authorized_keys.root"] == "ssh-ed25519 AAAA me\n"


def test_files_are_there_before_anybody_looks():
    lines = credentials(VM)["tmpfiles.extra"]
    found = files(lines)
    assert found["/etc/hostname"] == "web\n"
    assert found["/etc/iscsi/initiatorname.iscsi"] == "InitiatorName=iqn.2014-07.org.lago:web\n"
    network = found["/etc/systemd/network/10-lago-eth0.network"]
    assert network.startswith("[Match]\nMACAddress=54:52:c0:a8:c8:02\n\n[Network]\nDHCP=ipv4\n")
    assert "w /proc/sys/kernel/hostname - - - - web" in lines.splitlines()


def test_a_user_lets_the_key_in_as_well():
    lines = credentials(attrs.evolve(VM, ssh_user="ann"))["tmpfiles.extra"]
    assert files(lines)["/home/ann/.ssh/authorized_keys"] == "ssh-ed25519 AAAA me\n"
    assert "d /home/ann/.ssh 0700 ann ann -" in lines.splitlines()


def test_nothing_in_them_is_secret():
    text = " ".join(credentials(VM).values())
    assert "PRIVATE" not in text
    assert "password" not in text
