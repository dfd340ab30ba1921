"""The file ``ssh_config`` of a prefix: what is in it, and that it is right."""

import shutil

import attrs
import pytest
from fake_labs import lab_spec, make_lab, vm

from lago_sdk.errors import LagoError, VMError, VMNotFoundError
from lago_sdk.ports import HostKind
from lago_sdk.prefix import Prefix
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.testing import FakeHost, make_world

ALONE = {"type": "nat", "dhcp": {"start": 100, "end": 254}}


def section(text, name):
    (found,) = [part for part in text.split("\n\n") if part.startswith(f"Host {name} ")]
    return dict(line.split(maxsplit=1) for line in found.splitlines())


def test_it_is_written_at_creation_for_all_vms(tmp_path):
    prefix, _ = make_lab(tmp_path)
    text = (prefix.path / "ssh_config").read_text()
    web = section(text, "web")
    assert web["HostName"] == prefix.vms["web"].ip
    assert web["User"] == "root"
    assert web["IdentityFile"] == str(prefix.path / "id_ed25519")
    assert web["HostKeyAlias"] == "web"
    assert web["StrictHostKeyChecking"] == "yes"
    assert web["ProxyCommand"] == f"/fake/proxy {prefix.path} {prefix.vms['web'].ip} 22 web"
    assert web["ProxyUseFdpass"] == "yes"
    assert section(text, "db")["HostKeyAlias"] == "db"


def test_no_proxy_is_needed_on_the_system_host(tmp_path):
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
    prefix, _ = make_lab(tmp_path, world=world)
    assert "Proxy" not in prefix.ssh_config.read_text()


def test_machines_of_others_are_reached_directly_and_their_first_key_is_taken(tmp_path):
    far = {"vm-provider": "ssh", "nics": [{"net": "lan", "ip": "192.168.200.9"}]}
    net = {**ALONE, "gw": "192.168.200.1", "management": True}
    spec = {"domains": {"near": vm(), "far": far}, "nets": {"lan": net}}
    prefix, _ = make_lab(tmp_path, spec)
    web = section(prefix.ssh_config.read_text(), "far")
    assert web["StrictHostKeyChecking"] == "accept-new"
    assert "ProxyCommand" not in web


def test_the_full_name_and_the_address_are_names_too(tmp_path):
    spec = {
        "domains": {"web": vm()},
        "nets": {"lan": {**ALONE, "management": True, "dns_domain_name": "lab.test"}},
    }
    prefix, _ = make_lab(tmp_path, spec)
    address = prefix.vms["web"].ip
    assert f"Host web web.lab.test {address}\n" in prefix.ssh_config.read_text()


def test_a_start_makes_it_right_after_a_move(tmp_path):
    prefix, world = make_lab(tmp_path, keep=True)
    moved = tmp_path / "else where"
    shutil.move(prefix.path, moved)
    uuid = prefix.uuid
    prefix = Prefix(PrefixLayout(moved), world, uuid=uuid)
    assert str(moved) not in (moved / "ssh_config").read_text()
    prefix.start(["web"])
    assert f'IdentityFile "{moved}/id_ed25519"' in (moved / "ssh_config").read_text()


def test_asking_for_it_makes_it_right(tmp_path):
    prefix, _ = make_lab(tmp_path)
    path = prefix.path / "ssh_config"
    right = path.read_text()
    path.write_text("Host *\n")
    assert prefix.ssh_config == path
    assert path.read_text() == right
    path.unlink()
    assert prefix.ssh_config.read_text() == right
    before = path.stat()
    assert prefix.ssh_config.stat().st_ino == before.st_ino


def test_what_is_asked_for_vms_by_name_has_only_them(tmp_path):
    prefix, _ = make_lab(tmp_path)
    text = prefix.render_ssh_config("db", relay=True)
    assert "Host web" not in text
    assert section(text, "db")["ProxyCommand"].startswith("/fake/proxy --relay ")
    assert section(text, "db")["ProxyUseFdpass"] == "no"
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        prefix.render_ssh_config(["wev"])


def test_a_vm_without_an_address_is_left_out_unless_it_is_named(tmp_path):
    spec = lab_spec(web=vm(), lone=vm(nics=[]))
    prefix, _ = make_lab(tmp_path, spec)
    assert "lone" not in prefix.ssh_config.read_text()
    with pytest.raises(VMError, match="'lone' has no address"):
        prefix.render_ssh_config("lone")


def test_a_path_that_such_files_cannot_hold_keeps_no_lab_from_being_made(tmp_path):
    prefix, world = make_lab(tmp_path / "${HOME}")
    (warning,) = world.log.warnings
    assert warning.startswith("other tools cannot use the prefix: ")
    assert not (prefix.path / "ssh_config").exists()
    prefix.start(["web"])
    with pytest.raises(LagoError, match="cannot stand in an ssh_config"):
        _ = prefix.ssh_config


def test_a_disk_that_is_full_keeps_no_lab_from_starting(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.ssh_config.unlink()

    class FullDisk:
        def __getattr__(self, name):
            return getattr(world.files, name)

        def write_atomic(self, path, data, *, mode=0o644):
            if path.name == "ssh_config":
                raise LagoError("no space left")
            world.files.write_atomic(path, data, mode=mode)

    full = attrs.evolve(world, files=FullDisk())
    again = Prefix(PrefixLayout(prefix.path), full, uuid=prefix.uuid)
    again.start(["web"])
    assert "no space left" in world.log.warnings[-1]
