"""Subnet leases: Lago's format, no collision, and errors that say who and where."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.adapters.leases import FileSubnetLeases, _find_subnet, _lease_name
from lago_sdk.errors import SubnetLeaseError
from lago_sdk.ports import SubnetLeases

SUBNET = "192.168.200.0/24"


@pytest.fixture
def lease_dir(tmp_path) -> Path:
    return tmp_path / "subnets"


@pytest.fixture
def leases(lease_dir) -> SubnetLeases:
    return FileSubnetLeases(lease_dir)


def make_prefix(tmp_path: Path, uuid: str) -> Path:
    directory = tmp_path / f"prefix-{uuid}"
    directory.mkdir()
    path = directory / "uuid"
    path.write_text(uuid)
    return path


def test_a_lease_is_written_as_lago_writes_it(tmp_path, lease_dir, leases):
    path = make_prefix(tmp_path, "aa")
    leases.acquire("192.168.207.0/24", uuid_path=path, uuid="aa")
    assert json.loads((lease_dir / "207.lease").read_text()) == [str(path), "aa"]


def test_a_lease_of_lago_is_respected(tmp_path, lease_dir, leases):
    lease_dir.mkdir()
    path = make_prefix(tmp_path, "lago")
    (lease_dir / "200.lease").write_text(json.dumps([str(path), "lago"]))
    assert leases.taken(uuid="aa") == {SUBNET}
    with pytest.raises(SubnetLeaseError, match="prefix-lago"):
        leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")


@pytest.mark.parametrize(
    ("subnet", "name"),
    [
        ("192.168.200.0/24", "200.lease"),
        ("192.168.255.0/24", "255.lease"),
        ("192.168.199.0/24", "192.168.199.0_24.subnet"),
        ("192.168.200.0/25", "192.168.200.0_25.subnet"),
        ("10.1.200.0/24", "10.1.200.0_24.subnet"),
        ("fd00:1::/64", "fd00:1::_64.subnet"),
    ],
)
def test_only_subnets_that_lago_leases_get_its_names(tmp_path, lease_dir, leases, subnet, name):
    leases.acquire(subnet, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    assert name in {path.name for path in lease_dir.iterdir()}
    assert leases.taken(uuid="bb") == {subnet}


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_every_subnet_has_a_name_of_its_own(address, prefix):
    subnet = ip_network((int(address), prefix), strict=False)
    assert _find_subnet(_lease_name(subnet)) == subnet


def test_what_is_taken_names_the_holder_and_overlaps_count(tmp_path, leases):
    leases.acquire("10.1.0.0/16", uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    other = make_prefix(tmp_path, "bb")
    with pytest.raises(SubnetLeaseError, match=r"10\.1\.0\.0/16 is leased .*prefix-aa'"):
        leases.acquire("10.1.0.0/16", uuid_path=other, uuid="bb")
    with pytest.raises(SubnetLeaseError, match=r"overlaps 10\.1\.0\.0/16"):
        leases.acquire("10.1.7.0/24", uuid_path=other, uuid="bb")
    leases.acquire("10.2.7.0/24", uuid_path=other, uuid="bb")


def test_acquiring_again_changes_nothing(tmp_path, lease_dir, leases):
    path = make_prefix(tmp_path, "aa")
    leases.acquire(SUBNET, uuid_path=path, uuid="aa")
    before = (lease_dir / "200.lease").stat().st_ino
    leases.acquire(SUBNET, uuid_path=path, uuid="aa")
    assert (lease_dir / "200.lease").stat().st_ino == before
    assert leases.taken(uuid="aa") == frozenset()


def test_a_prefix_that_moved_keeps_its_lease(tmp_path, lease_dir, leases):
    path = make_prefix(tmp_path, "aa")
    leases.acquire(SUBNET, uuid_path=path, uuid="aa")
    path.parent.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "uuid"
    leases.acquire(SUBNET, uuid_path=moved, uuid="aa")
    assert json.loads((lease_dir / "200.lease").read_text()) == [str(moved), "aa"]


def test_release_gives_back_all_of_one_prefix_only(tmp_path, leases):
    one, other = make_prefix(tmp_path, "aa"), make_prefix(tmp_path, "bb")
    for subnet in ("192.168.201.0/24", "10.0.0.0/24"):
        leases.acquire(subnet, uuid_path=one, uuid="aa")
    leases.acquire("192.168.202.0/24", uuid_path=other, uuid="bb")
    leases.release(uuid="aa")
    leases.release(uuid="aa")
    assert leases.taken(uuid="") == {"192.168.202.0/24"}


@pytest.mark.parametrize("change", ["remove", "rewrite", "remove the directory"])
def test_the_lease_of_a_vanished_prefix_is_anybodys(tmp_path, leases, change):
    gone = make_prefix(tmp_path, "aa")
    leases.acquire(SUBNET, uuid_path=gone, uuid="aa")
    if change == "rewrite":
        gone.write_text("another")
    else:
        gone.unlink()
    if change == "remove the directory":
        gone.parent.rmdir()
    assert leases.taken(uuid="") == frozenset()
    leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "bb"), uuid="bb")
    assert leases.taken(uuid="") == {SUBNET}


def test_a_uuid_file_that_cannot_be_read_is_somebodys(tmp_path, leases):
    path = make_prefix(tmp_path, "aa")
    leases.acquire(SUBNET, uuid_path=path, uuid="aa")
    path.unlink()
    path.mkdir()  # reading a directory fails for root as well
    assert leases.taken(uuid="") == {SUBNET}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '["a"]', "[1, 2]", '{"a": "b"}', '["a","b","c"]']
)
def test_stray_files_do_no_harm(tmp_path, lease_dir, leases, content):
    lease_dir.mkdir()
    (lease_dir / "a-directory.lease").mkdir()
    for name in ("README", "foo.lease", "300.lease", "7.lease", "x_y.subnet", ".200.lease.abc"):
        (lease_dir / name).write_text(content)
    (lease_dir / "200.lease").write_text(content)
    (lease_dir / "201.lease").write_bytes(b"\xff\xfe")
    assert leases.taken(uuid="") == frozenset()
    leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    assert leases.taken(uuid="") == {SUBNET}
    leases.release(uuid="aa")
    assert (lease_dir / "README").exists()


@pytest.mark.parametrize("subnet", ["", "192.168.200.1/24", "here", "192.168.200.0/33", "a/b"])
def test_what_is_no_subnet_is_refused(tmp_path, lease_dir, leases, subnet):
    with pytest.raises(SubnetLeaseError, match="is not a subnet"):
        leases.acquire(subnet, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    assert not lease_dir.exists()


def test_a_directory_that_is_not_there_holds_nothing(leases, lease_dir):
    assert leases.taken(uuid="") == frozenset()
    leases.release(uuid="aa")
    assert not lease_dir.exists()


def test_a_directory_that_cannot_be_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    leases = FileSubnetLeases(tmp_path / "file" / "subnets")
    with pytest.raises(SubnetLeaseError, match="cannot read the directory") as caught:
        leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    assert "sudo install -d" in (caught.value.hint or "")


def test_a_lock_that_cannot_be_made_says_so(tmp_path, lease_dir, leases):
    (lease_dir / "subnet-lease.lock").mkdir(parents=True)
    with pytest.raises(SubnetLeaseError, match="cannot lock the directory"):
        leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
def test_other_users_can_lock_and_lease(tmp_path, lease_dir, leases):
    """Root makes the directory world-writable; nobody leases beside it."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.is_relative_to(tempfile.gettempdir()):  # pytest's own, however deep
            directory.chmod(directory.stat().st_mode | 0o055)
    lease_dir.mkdir()
    lease_dir.chmod(0o777)
    leases.acquire(SUBNET, uuid_path=make_prefix(tmp_path, "aa"), uuid="aa")
    other = make_prefix(tmp_path, "bb")
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            leases.acquire("192.168.201.0/24", uuid_path=other, uuid="bb")
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the child must not unwind into pytest
            os.write(2, f"{error}\n".encode())
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert leases.taken(uuid="") == {SUBNET, "192.168.201.0/24"}


def test_threads_never_get_the_same_subnet(tmp_path, leases):
    holders: list[str] = []

    def take(uuid: str) -> None:
        path = make_prefix(tmp_path, uuid)
        try:
            leases.acquire(SUBNET, uuid_path=path, uuid=uuid)
        except SubnetLeaseError:
            return
        holders.append(uuid)

    threads = [threading.Thread(target=take, args=(f"{number:02}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders) == 1


def test_processes_never_get_the_same_subnet(tmp_path, lease_dir):
    program = """
import sys
from pathlib import Path
from lago_sdk.adapters.leases import FileSubnetLeases
from lago_sdk.errors import SubnetLeaseError
leases = FileSubnetLeases(Path(sys.argv[1]))
uuid_path = Path(sys.argv[2])
uuid = uuid_path.read_text()
sys.stdin.read()
for number in range(200, 206):
    try:
        leases.acquire(f"192.168.{number}.0/24", uuid_path=uuid_path, uuid=uuid)
    except SubnetLeaseError:
        continue
    print(number)
    break
"""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(lease_dir), str(make_prefix(tmp_path, uuid))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for uuid in ("a", "b", "c", "d", "e", "f")
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdin = None
    got = [worker.communicate(timeout=60)[0].strip() for worker in workers]
    assert sorted(got) == ["200", "201", "202", "203", "204", "205"]
