"""auto is private, else system, else an error that says what to install or allow."""

import socket

import pytest

from lago_sdk.adapters.hosts import choose
from lago_sdk.adapters.hosts.findings import Finding
from lago_sdk.adapters.hosts.system import check_system, is_remote
from lago_sdk.errors import HostError

FINE = (Finding(name="x", ok=True, message="fine"),)
NO_TUN = (*FINE, Finding(name="tun", ok=False, message="no tun", hint="chmod it"))
NO_LIBVIRTD = (Finding(name="libvirtd", ok=False, message="no libvirtd", hint="start it"),)


@pytest.fixture
def machine(monkeypatch):
    def set_up(*, private=FINE, system=FINE):
        monkeypatch.setattr(choose, "check_private", lambda: private)
        monkeypatch.setattr(choose, "check_system", lambda uri="": system)

    set_up()
    return set_up


def test_auto_prefers_the_private_host(machine):
    assert choose.choose_host("auto") == "private"
    assert choose.choose_host("auto", ephemeral=True) == "private"


def test_auto_takes_the_system_host_where_no_private_one_can_be_made(machine):
    machine(private=NO_TUN)
    assert choose.choose_host("auto") == "qemu:///system"


def test_auto_with_neither_says_what_a_private_one_lacks(machine):
    machine(private=NO_TUN, system=NO_LIBVIRTD)
    with pytest.raises(HostError, match="no tun") as caught:
        choose.choose_host("auto")
    assert caught.value.hint == "chmod it"


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("private", "chmod it"), ("system", "start it"), ("qemu:///system", "start it")],
)
def test_what_is_asked_for_by_name_is_not_replaced(machine, wanted, hint):
    machine(private=NO_TUN, system=NO_LIBVIRTD)
    with pytest.raises(HostError) as caught:
        choose.choose_host(wanted)
    assert caught.value.hint == hint


def test_names_become_what_a_record_holds(machine):
    assert choose.choose_host("private") == "private"
    assert choose.choose_host("system") == "qemu:///system"
    uri = "qemu+unix:///system?socket=/x"
    assert choose.choose_host(uri) == uri


@pytest.mark.parametrize("wanted", ["system", "qemu:///system"])
def test_only_a_private_host_is_ephemeral(machine, wanted):
    with pytest.raises(HostError, match="ephemeral"):
        choose.choose_host(wanted, ephemeral=True)


def test_an_ephemeral_prefix_does_not_fall_back_to_the_system(machine):
    machine(private=NO_TUN)
    with pytest.raises(HostError, match="no tun"):
        choose.choose_host("auto", ephemeral=True)


def test_another_machine_is_refused_clearly(machine):
    with pytest.raises(HostError, match="another machine"):
        choose.choose_host("qemu+ssh://root@lab7/system")


def test_auto_looks_at_the_system_host_only_where_it_needs_it(machine):
    names = {finding.name for finding in choose.list_findings("auto")}
    assert names == {"acceleration", "x"}
    machine(private=NO_TUN, system=NO_LIBVIRTD)
    assert "libvirtd" in {finding.name for finding in choose.list_findings("auto")}
    assert "libvirtd" in {finding.name for finding in choose.list_findings("system")}


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("qemu:///system", False),
        ("qemu+unix:///system?socket=/run/x", False),
        ("private", False),
        ("qemu+ssh://root@lab7/system", True),
        ("qemu+tls://lab7/system", True),
        ("qemu://lab7/system", True),
        ("qemu+ssh:///system", True),
    ],
)
def test_remote_uris_are_known(uri, remote):
    assert is_remote(uri) is remote


def find_socket(uri):
    return next(finding for finding in check_system(uri) if finding.name == "system libvirtd")


def test_a_listening_libvirtd_is_found(tmp_path):
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert find_socket(f"qemu+unix:///system?socket={path}").ok
    dead = find_socket(f"qemu+unix:///system?socket={path}")
    assert not dead.ok
    assert "Connection refused" in dead.message


def test_an_absent_libvirtd_is_told(tmp_path):
    finding = find_socket(f"qemu+unix:///system?socket={tmp_path / 'absent'}")
    assert not finding.ok
    assert finding.hint
