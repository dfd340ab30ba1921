"""What is missing on a machine is told with what to do about it."""

import os

import pytest

from lago_sdk.adapters import process
from lago_sdk.adapters.hosts import checks
from lago_sdk.errors import HostError, MissingToolError


@pytest.fixture
def subuid(tmp_path):
    return tmp_path / "subuid"


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "_SYSTEM_PATH", str(tmp_path))


@pytest.fixture
def sysctl(monkeypatch, tmp_path):
    """Sets a sysctl, for a user who is not root."""
    monkeypatch.setattr(checks, "_SYSCTL", tmp_path)
    monkeypatch.setattr(checks, "is_root", lambda: False)

    def write(key, value):
        path = tmp_path / key
        path.parent.mkdir(exist_ok=True)
        path.write_text(value)

    return write


@pytest.mark.parametrize("line", ["ann:100000:65536", "1000:100000:65536", "ann:1:70000"])
def test_a_range_by_name_or_number_is_enough(subuid, line):
    subuid.write_text(f"# comment\n\nbob:1:1\n{line}\n")
    assert checks.check_subordinate_ids(subuid, "ann", 1000).ok


@pytest.mark.parametrize(
    ("text", "ids", "message"),
    [
        (None, "100000-165535", "has no range of 65536 ids for the user ann"),
        ("", "100000-165535", "has no range"),
        ("bob:100000:65536\n", "165536-231071", "has no range"),
        ("ann:100000:1000\n", "101000-166535", "only one of 1000"),
        ("ann:x:65536\nann:1\nannn:1:65536\n", "100000-165535", "has no range"),
    ],
)
def test_without_a_range_the_hint_gives_a_free_one(subuid, text, ids, message):
    if text is not None:
        subuid.write_text(text)
    finding = checks.check_subordinate_ids(subuid, "ann", 1000)
    assert not finding.ok
    assert message in finding.message
    assert finding.hint == f"as root: usermod --add-subuids {ids} ann"


def test_group_ids_have_an_option_of_their_own(tmp_path):
    finding = checks.check_subordinate_ids(tmp_path / "subgid", "ann", 1000)
    assert "--add-subgids" in finding.hint


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("user/max_user_namespaces", "sysctl -w user.max_user_namespaces=65536"),
        ("kernel/unprivileged_userns_clone", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ],
)
def test_sysctls_that_forbid_user_namespaces_are_named(sysctl, key, hint):
    sysctl(key, "0\n")
    finding = checks.check_namespaces()
    assert not finding.ok
    assert key.replace("/", ".") in finding.message
    assert hint in finding.hint


def test_sysctls_that_allow_user_namespaces_are_fine(sysctl):
    sysctl("user/max_user_namespaces", "100\n")
    sysctl("kernel/unprivileged_userns_clone", "1\n")
    assert checks.check_namespaces().ok


def test_ubuntus_apparmor_limit_is_named_where_namespaces_are_refused(sysctl, no_programs):
    sysctl("kernel/apparmor_restrict_unprivileged_userns", "1\n")
    finding = checks._probe()
    assert not finding.ok
    assert "AppArmor" in finding.hint
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in finding.hint


def test_a_root_without_powers_is_told_apart(monkeypatch):
    monkeypatch.setattr(checks, "is_root", lambda: True)
    monkeypatch.setattr(checks, "_has_capability", lambda number: False)
    assert "CAP_SYS_ADMIN" in checks.check_namespaces().hint


def test_every_missing_program_is_found_with_its_package(no_programs, monkeypatch):
    monkeypatch.setattr(checks, "is_root", lambda: False)
    missing = {finding.name: finding for finding in checks.check_private() if not finding.ok}
    packages = {
        "libvirtd": "libvirt-daemon",
        "dnsmasq": "dnsmasq-base",
        "iptables": "iptables",
        "newuidmap": "uidmap",
        "newgidmap": "uidmap",
        "unshare": "util-linux",
        "ip": "iproute2",
        "qemu-img": "qemu-utils",
    }
    for program, package in packages.items():
        assert missing[program].hint == f"install it: apt-get install {package}"
    assert "namespaces, tried" not in missing


def test_a_missing_program_is_an_error_of_its_own_kind(no_programs):
    with pytest.raises(MissingToolError):
        checks.check_needs()


def test_without_a_tun_device_the_hint_makes_one(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_TUN", tmp_path / "net" / "tun")
    finding = checks.check_tun()
    assert not finding.ok
    assert "mknod -m 0666" in finding.hint


def test_a_tun_device_that_cannot_be_opened_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_TUN", tmp_path)  # a directory cannot be opened for writing
    finding = checks.check_tun()
    assert not finding.ok
    assert "cannot be opened" in finding.message
    assert f"chmod 0666 {tmp_path}" in finding.hint


def test_the_first_obstacle_is_raised_with_its_hint(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "find_tool", lambda name: f"/bin/{name}")
    monkeypatch.setattr(checks, "_MOUNT_POINTS", (str(tmp_path / "absent"),))
    monkeypatch.setattr(checks, "_DRIVER_GLOBS", ())
    with pytest.raises(HostError, match="QEMU driver is not installed") as caught:
        checks.check_needs()
    assert "libvirt-daemon-driver-qemu" in caught.value.hint
    assert "absent" in checks._check_mount_points().message


@pytest.mark.parametrize("root", [True, False])
def test_a_user_namespace_is_made_only_where_we_are_not_root(monkeypatch, root):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    argv = checks.list_namespace_argv()
    assert argv[0] == "unshare"
    assert {"--mount", "--net", "--pid", "--fork", "--kill-child"} <= set(argv)
    assert ("--user" in argv) is not root
