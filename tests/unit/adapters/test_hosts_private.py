"""What of the private and the system host can be told without bringing one up."""

import json
import os
import signal
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from lago_sdk.adapters.hosts import supervised, supervisor
from lago_sdk.adapters.hosts.daemon_files import HostFiles, read_tail
from lago_sdk.adapters.hosts.private import PrivateHost
from lago_sdk.adapters.hosts.system import list_subnets
from lago_sdk.config import AccelChoice
from lago_sdk.errors import HostError
from lago_sdk.plan.facts import Taken
from lago_sdk.ports import Host, HostKind

UUID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def host(tmp_path):
    return PrivateHost(
        uuid=UUID,
        prefix_path=tmp_path / "prefix",
        run_dir=tmp_path / "run",
        cache_dir=tmp_path / "cache",
        accel=AccelChoice.TCG,
    )


def test_a_host_that_is_down_says_so_and_leaves_no_trace(host, tmp_path):
    port: Host = host
    assert port.kind is HostKind.PRIVATE
    assert port.taken() == Taken()
    assert not port.is_up()
    assert port.is_ended()
    for use in (port.hypervisor, lambda: port.dial("192.0.2.1", 22, timeout=1)):
        with pytest.raises(HostError, match="not up"):
            use()
    with pytest.raises(HostError, match="not up"):
        port.run(["true"])
    port.end()
    port.close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_directory_that_is_too_long_is_refused_before_anything_is_made(tmp_path):
    host = PrivateHost(
        uuid=UUID,
        prefix_path=tmp_path / "prefix",
        run_dir=tmp_path / ("x" * 100),
        cache_dir=tmp_path / "cache",
        accel=AccelChoice.TCG,
    )
    with pytest.raises(HostError, match="too long"):
        host.start()
    assert list(tmp_path.iterdir()) == []


def test_the_uri_quotes_the_sockets_path(tmp_path):
    host = PrivateHost(
        uuid=UUID,
        prefix_path=tmp_path,
        run_dir=Path("/run/a b&c"),
        cache_dir=tmp_path,
        accel=AccelChoice.TCG,
    )
    assert host.uri == "qemu+unix:///system?socket=/run/a%20b%26c/libvirt-sock"


def test_libvirtd_is_configured_for_its_prefix(tmp_path):
    files = HostFiles(prefix_path=tmp_path / "prefix")
    for _ in range(2):
        files.write(uuid=UUID, run_dir=Path("/run/x"), cache_dir=tmp_path / "cache")
    text = (files.etc / "libvirtd.conf").read_text()
    assert 'unix_sock_dir = "/run/x"' in text
    assert 'host_uuid = "01234567-89ab-cdef-0123-456789abcdef"' in text
    assert 'security_driver = "none"' in (files.etc / "qemu.conf").read_text()


def test_the_tail_of_a_log_begins_where_we_began(tmp_path):
    log = tmp_path / "log"
    assert read_tail(log) == ()
    log.write_text("old\n")
    since = log.stat().st_size
    log.write_text("old\n" + "".join(f"line {number}\n" for number in range(7)))
    assert read_tail(log, since=since, lines=3) == ("line 4", "line 5", "line 6")
    assert "old" not in read_tail(log, since=since, lines=20)


def test_only_what_a_mount_would_hide_is_kept_apart():
    targets = ["/run", "/var/lib/libvirt"]
    keep = ["/run/user/1", "/run/user", "/running", "/var/lib/libvirt/images", "/home/ann", "/run"]
    hidden = supervisor.list_hidden([*keep, "/run/user"], targets)
    assert hidden == ["/run", "/run/user", "/run/user/1", "/var/lib/libvirt/images"]
    assert supervisor.is_below("/a", "/")


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def write_record(path, pid, **changes):
    stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path.write_text(
        json.dumps({"pid": pid, "started": int(stat[19]), "boot_id": boot_id, **changes})
    )


def test_a_supervisor_whose_socket_is_lost_is_ended_by_its_record(tmp_path, sleeper):
    record = tmp_path / "record"
    write_record(record, sleeper.pid)
    supervised.end_processes(supervised.find_processes(record, pid=None), tmp_path / "control")
    assert sleeper.wait(timeout=5) == -signal.SIGKILL


def test_a_host_whose_socket_is_lost_is_broken_and_has_not_ended(host, tmp_path, sleeper):
    files = HostFiles(prefix_path=tmp_path / "prefix")
    files.directory.mkdir(parents=True)
    write_record(files.record, sleeper.pid)
    assert not host.is_up()
    assert not host.is_ended()
    with pytest.raises(HostError, match=r"broken: its control socket .* is gone") as caught:
        host.hypervisor()
    assert "lagoctl start mends it" in caught.value.hint
    host.end()
    assert host.is_ended()
    assert sleeper.wait(timeout=5) == -signal.SIGKILL


def test_a_supervisor_that_nobody_has_reaped_yet_has_ended(tmp_path, sleeper):
    record = tmp_path / "record"
    write_record(record, sleeper.pid)
    assert supervised.is_alive(record)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not supervised.is_alive(record)


@pytest.mark.parametrize("changes", [{"started": 1}, {"boot_id": "another"}])
def test_a_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path, sleeper, changes):
    record = tmp_path / "record"
    write_record(record, sleeper.pid, **changes)
    assert supervised.find_processes(record, pid=None) == ()


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"pid": "x", "started": 1, "boot_id": ""}']
)
def test_a_record_that_makes_no_sense_names_nobody(tmp_path, text):
    record = tmp_path / "record"
    if text is not None:
        record.write_text(text)
    assert supervised.find_processes(record, pid=None) == ()


def test_a_process_that_has_gone_is_not_found(tmp_path):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert supervised.find_processes(tmp_path / "record", pid=pid) == ()


def test_subnets_are_read_from_routes_and_addresses():
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "198.51.100.7", "dev": "tun0"},
        {"dst": "192.168.200.0/24", "dev": "0123-lan"},
        {"dst": "fd00::/64", "dev": "eth0"},
    ]
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "0123-lan", "addr_info": [{"local": "192.168.200.1", "prefixlen": 24}]},
        {"ifname": "virbr0", "addr_info": [{"local": "192.168.122.1", "prefixlen": 24}, {}]},
        {"ifname": "down"},
    ]
    found = list_subnets(routes, links, own={"0123-lan"})
    names = "192.0.2.0/24 198.51.100.7/32 fd00::/64 127.0.0.0/8 192.168.122.0/24"
    assert found == {ip_network(name) for name in names.split()}
