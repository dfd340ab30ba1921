"""Artifacts are fetched by the road that fits, and one VM's failure is nobody else's."""

from pathlib import Path

import pytest
from fake_labs import make_lab, vm

from lago_sdk.errors import LagoError, PathNotFoundError, SSHError, VMError
from lago_sdk.ports import OfflineFile
from lago_sdk.service.seeing.collect import name_artifact
from lago_sdk.service.seeing.extract import ExtractRoad

SPEC = {
    "domains": {
        "web": vm(artifacts=["/var/log", "/etc/x", "/none"]),
        "db": vm(artifacts=["/etc/x"]),
        "plain": vm(),
    },
    "nets": {"lan": {"type": "nat", "dhcp": {"start": 100, "end": 254}}},
}


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path, SPEC)
    world.guests["web"].files = {"/var/log/a": b"a", "/var/log/sub/b": b"b", "/etc/x": b"web"}
    image = Path(prefix.plan.get_vm("db").disks[0].path).name
    world.disks[image]["/etc/x"] = OfflineFile(data=b"db")
    prefix.start("web")
    return prefix, world


def test_each_vm_is_collected_from_by_the_road_that_fits(lab, tmp_path):
    prefix, world = lab
    report = prefix.collect_artifacts(tmp_path / "out").check()
    out = tmp_path / "out"
    assert (out / "web/_var_log/sub/b").read_bytes() == b"b"
    assert (out / "db/_etc_x").read_bytes() == b"db"
    assert report.vms["web"].road is ExtractRoad.SSH
    assert report.vms["db"].road is ExtractRoad.DISK
    assert report.vms["web"].missing == ("/none",)
    assert report.vms["web"].collected == {
        "/var/log": out / "web/_var_log",
        "/etc/x": out / "web/_etc_x",
    }
    assert "plain" not in report.vms
    assert [read_only for _, read_only in world.disks.opened] == [True]


def test_what_takes_an_appliance_is_read_by_one_for_all(tmp_path):
    prefix, world = make_lab(tmp_path, SPEC)
    images = {}
    for name, kind in (("web", "xfs"), ("db", "btrfs")):
        image = prefix.path / prefix.plan.get_vm(name).disks[0].path
        images[name] = image
        world.disks.kinds[image.name] = kind
        world.disks[image.name]["/etc/x"] = OfflineFile(data=name.encode())
    report = prefix.collect_artifacts(tmp_path / "out").check()
    assert world.disks.booted == [(images["web"], images["db"])]
    for name in images:
        assert (tmp_path / "out" / name / "_etc_x").read_text() == name
        assert report.vms[name].road is ExtractRoad.DISK


def test_a_guest_that_does_not_answer_keeps_nobody_else(lab, tmp_path):
    prefix, world = lab
    world.guests["web"].login_error = SSHError("web: nobody there")
    report = prefix.collect_artifacts(tmp_path / "out")
    assert (tmp_path / "out/db/_etc_x").exists()
    (error,) = report.errors
    assert error.vm == "web"
    with pytest.raises(VMError, match="runs, but its files cannot be had over ssh"):
        report.check()


def test_missing_paths_fail_where_asked_when_all_else_is_here(lab, tmp_path):
    prefix, _ = lab
    with pytest.raises(PathNotFoundError, match="'web' does not have '/none'"):
        prefix.collect_artifacts(tmp_path / "out", ignore_missing=False)
    assert (tmp_path / "out/db/_etc_x").exists()


def test_old_output_is_put_aside(lab, tmp_path):
    prefix, _ = lab
    out = tmp_path / "out"
    out.mkdir()
    assert prefix.collect_artifacts(out, "db").rotated is None
    (out / "mine").write_text("kept")
    first = prefix.collect_artifacts(out, "db").rotated
    second = prefix.collect_artifacts(out, "db").rotated
    assert first != second
    assert (first / "mine").read_text() == "kept"
    assert (second / "db/_etc_x").exists()
    assert [path.name for path in out.iterdir()] == ["db"]


@pytest.mark.parametrize("place", ["lab", "lab/default", "."])
def test_output_never_moves_the_prefix_away(lab, tmp_path, place):
    prefix, _ = lab
    with pytest.raises(LagoError, match="the output cannot go to"):
        prefix.collect_artifacts(tmp_path / place)
    assert prefix.path.exists()


def test_a_paused_vm_is_neither_asked_nor_read(lab, tmp_path):
    prefix, world = lab
    prefix.suspend("web")
    report = prefix.collect_artifacts(tmp_path / "out", "web")
    with pytest.raises(VMError, match="paused"):
        report.check()
    assert world.disks.opened == []


def test_paths_of_one_vm_are_extracted(lab, tmp_path):
    prefix, _ = lab
    found = prefix.vms["db"].extract_paths([("/etc/x", tmp_path / "x"), ("/y", tmp_path / "y")])
    assert (found.collected, found.missing) == (("/etc/x",), ("/y",))
    with pytest.raises(PathNotFoundError):
        prefix.vms["db"].extract_paths([("/y", tmp_path / "y")], ignore_missing=False)


@pytest.mark.parametrize(
    ("path", "taken", "name"),
    [
        ("/var/log", (), "_var_log"),
        ("/var_log", ("_var_log",), "_var_log_2"),
        ("/a", ("_a", "_a_2"), "_a_3"),
        ("..", (), "_.."),
        ("/", (), "_"),
    ],
)
def test_names_in_the_output_are_lagos_and_differ(path, taken, name):
    assert name_artifact(path, taken) == name
