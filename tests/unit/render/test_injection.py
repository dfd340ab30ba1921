"""What is written into disks: Lago's rules, for each way that guests configure their network."""

from ipaddress import IPv4Address

import attrs
import pytest
from libvirt_cases import NETS_OF_VMS, nic_plan, vm_plan

from lago_sdk.plan.models import AddressMethod
from lago_sdk.render.guest_network import NetworkStyle, find_style, render_network
from lago_sdk.render.injection import Guest, User, find_users, render_injection

ROOT = User(name="root", uid=0, gid=0, home="/root")
ANN = User(name="ann", uid=1000, gid=100, home="/home/ann")
STATIC = attrs.evolve(nic_plan(1), method=AddressMethod.STATIC, ip=IPv4Address("192.168.200.9"))
VM = vm_plan(nics=(nic_plan(), STATIC))
NETPLAN = "/etc/netplan"
NETWORKD_ON = "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
NETWORKD = "/usr/lib/systemd/system/systemd-networkd.service"
UDEV = "/usr/lib/systemd/systemd-udevd"


def inject(vm=VM, *, texts=None, there=(NETPLAN,), keys=None, users=(ROOT,), passwords=None):
    guest = Guest(texts=texts or {}, there=frozenset(there), keys=keys or {})
    return render_injection(
        vm,
        nets=NETS_OF_VMS,
        guest=guest,
        users=users,
        public_keys=["ssh-ed25519 AAAA lago\n"],
        passwords=passwords or {},
        host_key_private="PRIVATE",
        host_key_public="ssh-ed25519 HOST web\n",
    )


def test_a_guest_knows_its_name_and_lets_us_in():
    found = inject(texts={"/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 old\n# mine\n"})
    text = {path: file.text for path, file in found.files.items()}
    assert text["/etc/hostname"] == "web\n"
    assert text["/etc/hosts"] == "127.0.0.1 localhost\n# mine\n127.0.1.1 web\n"
    assert text["/root/.ssh/authorized_keys"] == "ssh-ed25519 AAAA lago\n"
    assert text["/etc/iscsi/initiatorname.iscsi"] == "InitiatorName=iqn.2014-07.org.lago:web\n"
    assert text["/etc/ssh/ssh_host_ed25519_key"] == "PRIVATE\n"
    assert text["/etc/ssh/ssh_host_ed25519_key.pub"] == "ssh-ed25519 HOST web\n"
    modes = {path: file.mode for path, file in found.files.items() if file.mode is not None}
    assert modes == {
        "/etc/ssh/ssh_host_ed25519_key": 0o600,
        "/root/.ssh/authorized_keys": 0o600,
        "/etc/netplan/90-lago.yaml": 0o600,
    }
    assert found.directories == {"/root/.ssh": ROOT}
    assert (found.links, found.removed) == ({}, ())


def test_keys_that_are_there_stay_and_none_comes_twice():
    path = "/home/ann/.ssh/authorized_keys"
    old = "ssh-rsa BBBB other\n"
    first = inject(users=(ROOT, ANN), keys={path: old}).files[path]
    assert first.text == old + "ssh-ed25519 AAAA lago\n"
    assert first.owner == ANN
    assert inject(users=(ANN,), keys={path: first.text}).files[path].text == first.text


def test_what_the_guest_has_decides_what_is_changed():
    there = ("/etc/machine-id", "/etc/cloud", NETPLAN)
    texts = {
        "/etc/selinux/config": "# x\nSELINUX=enforcing\n",
        "/etc/default/grub": 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX="quiet"\n',
        "/boot/grub2/grub.cfg": "if x\n  set timeout=5\nfi\nset timeout_style=menu\n",
        "/boot/grub/grub.cfg": "set timeout=0\n",
    }
    files = inject(texts=texts, there=there).files
    assert files["/etc/machine-id"].text == VM.uuid.replace("-", "") + "\n"
    assert files["/etc/cloud/cloud-init.disabled"].text == ""
    assert files["/.autorelabel"].text == ""
    assert files["/etc/default/grub"].text == 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="quiet"\n'
    menu = files["/boot/grub2/grub.cfg"].text
    assert menu == "if x\n  set timeout=0\nfi\nset timeout_style=menu\n"
    assert "/boot/grub/grub.cfg" not in files
    plain = inject(texts={"/etc/selinux/config": "SELINUX=disabled\n"}).files
    assert not {"/.autorelabel", "/etc/machine-id", "/etc/default/grub"} & set(plain)


def test_units_that_take_time_at_boot_are_taken_out():
    wants = "/etc/systemd/system/multi-user.target.wants"
    found = inject(there=(NETPLAN, f"{wants}/kdump.service", f"{wants}/postfix.service"))
    assert found.removed == (f"{wants}/kdump.service", f"{wants}/postfix.service")


class TestPasswords:
    SHADOW = "root:*:19000:0:99999:7:::\nann:!:19000::::::\nodd\n"

    def test_none_is_set_unless_asked_for(self):
        assert "/etc/shadow" not in inject(texts={"/etc/shadow": self.SHADOW}).files

    def test_one_that_is_asked_for_is_set(self):
        vm = attrs.evolve(VM, spec=attrs.evolve(VM.spec, root_password="x"))
        files = inject(vm, texts={"/etc/shadow": self.SHADOW}, passwords={"root": "$6$h"}).files
        wanted = "root:$6$h:19000:0:99999:7:::\nann:!:19000::::::\nodd\n"
        assert files["/etc/shadow"].text == wanted
        assert "/etc/ssh/sshd_config" not in files

    @pytest.mark.parametrize("has_parts", [True, False])
    def test_one_to_log_in_with_is_let_in_by_sshd(self, has_parts):
        spec = attrs.evolve(VM.spec, ssh_password="x")
        vm = attrs.evolve(VM, spec=spec)
        parts = "/etc/ssh/sshd_config.d"
        files = inject(
            vm,
            texts={"/etc/shadow": self.SHADOW, "/etc/ssh/sshd_config": "PermitRootLogin no\n"},
            there=(NETPLAN, parts) if has_parts else (NETPLAN,),
            passwords={"root": "$6$h"},
        ).files
        text = files[f"{parts}/00-lago.conf" if has_parts else "/etc/ssh/sshd_config"].text
        assert text.startswith("PasswordAuthentication yes\nPermitRootLogin yes\n")
        assert text.endswith("PermitRootLogin no\n") is not has_parts


def test_users_are_those_of_the_guest():
    passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann/:/bin/sh\nbad:x:y\n"
    assert find_users(passwd, ("root", "ann", "bad", "none")) == {"root": ROOT, "ann": ANN}


@pytest.mark.parametrize(
    ("there", "style"),
    [
        ((NETPLAN, NETWORKD_ON), NetworkStyle.NETPLAN),
        ((NETWORKD_ON, "/usr/sbin/NetworkManager"), NetworkStyle.NETWORKD),
        (("/etc/sysconfig/network-scripts", "/usr/lib/udev/rename_device",
          "/usr/sbin/NetworkManager"), NetworkStyle.IFCFG),
        (("/etc/sysconfig/network-scripts", "/usr/sbin/NetworkManager"), NetworkStyle.KEYFILE),
        (("/etc/sysconfig/network-scripts",), NetworkStyle.IFCFG),
        (("/etc/network/interfaces", "/usr/sbin/ifup", NETWORKD), NetworkStyle.INTERFACES),
        (("/etc/network/interfaces", NETWORKD), NetworkStyle.NETWORKD),
        ((), None),
    ],
)  # fmt: skip
def test_what_is_switched_on_configures_the_network(there, style):
    assert find_style(there) is style


def test_without_anything_that_configures_nics_nothing_is_written():
    assert inject(there=()) is None
    assert inject(vm_plan(), there=()) is not None


def network(style, there=()):
    return render_network(attrs.evolve(VM, management="lan"), NETS_OF_VMS, style, there)


def test_networkd_is_switched_on_where_it_is_off():
    files, links = network(NetworkStyle.NETWORKD, (NETWORKD, UDEV))
    assert links[NETWORKD_ON] == NETWORKD
    assert files["/etc/systemd/network/10-lago-eth1.link"] == (
        "[Match]\nMACAddress=54:52:c0:a8:c8:03\n\n[Link]\nName=eth1\n"
    )
    assert files["/etc/systemd/network/10-lago-eth1.network"] == (
        "[Match]\nMACAddress=54:52:c0:a8:c8:03\n\n[Link]\nRequiredForOnline=no\n\n"
        "[Network]\nDHCP=no\nAddress=192.168.200.9/24\n"
    )
    assert "[DHCPv4]\nRouteMetric=100\n" in files["/etc/systemd/network/10-lago-eth0.network"]
    assert network(NetworkStyle.NETWORKD, (NETWORKD, NETWORKD_ON))[1] == {}


def test_networkd_is_told_the_way_out_where_no_dhcp_tells_it():
    nic = attrs.evolve(nic_plan(), method=AddressMethod.STATIC)
    vm = vm_plan(nics=(nic,))
    files, _ = render_network(vm, NETS_OF_VMS, NetworkStyle.NETWORKD, (NETWORKD_ON,))
    text = files["/etc/systemd/network/10-lago-eth0.network"]
    assert "Address=192.168.200.2/24\nDNS=192.168.200.1\nGateway=192.168.200.1\n" in text


def test_ifcfg_files_name_nics_by_their_macs():
    files, _ = network(NetworkStyle.IFCFG, (UDEV,))
    place = "/etc/sysconfig/network-scripts"
    assert files[f"{place}/ifcfg-eth0"] == (
        "DEVICE=eth0\nHWADDR=54:52:C0:A8:C8:02\nTYPE=Ethernet\nONBOOT=yes\n"
        "BOOTPROTO=dhcp\nDEFROUTE=yes\n"
    )
    assert files[f"{place}/ifcfg-eth1"] == (
        "DEVICE=eth1\nHWADDR=54:52:C0:A8:C8:03\nTYPE=Ethernet\nONBOOT=yes\n"
        "BOOTPROTO=none\nDEFROUTE=no\nIPADDR=192.168.200.9\nPREFIX=24\n"
    )


def test_network_manager_has_a_connection_for_each_nic():
    files, _ = network(NetworkStyle.KEYFILE)
    place = "/etc/NetworkManager/system-connections"
    text = files[f"{place}/lago-eth1.nmconnection"]
    assert "mac-address=54:52:C0:A8:C8:03\n" in text
    assert "[ipv4]\nmethod=manual\naddress1=192.168.200.9/24\n" in text
    assert "[ipv6]\nmethod=ignore\n" in text
    first = files[f"{place}/lago-eth0.nmconnection"]
    assert "[ipv4]\nmethod=auto\nroute-metric=100\n" in first


def test_ifupdown_has_a_stanza_for_each_nic():
    files, _ = network(NetworkStyle.INTERFACES)
    assert files["/etc/network/interfaces"] == (
        "auto lo\niface lo inet loopback\n\n"
        "auto eth0\niface eth0 inet dhcp\n    metric 100\n\n"
        "auto eth1\niface eth1 inet static\n    address 192.168.200.9/24\n"
    )
