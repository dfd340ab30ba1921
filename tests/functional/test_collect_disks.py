"""Artifacts of VMs that are off and whose root is on xfs, btrfs, LVM or encrypted: real disks."""

import os
import subprocess
from pathlib import Path

import pytest

from lago_sdk import Config, ExtractRoad, LagoError, Prefix

pytestmark = [pytest.mark.root_only, pytest.mark.private_only]

PROTO = """/
0 0
d--755 0 0
etc d--755 0 0
os-release ---644 0 0 {tree}/etc/os-release
$
var d--755 0 0
app ---644 0 0 {tree}/var/app
$
$
"""
LVM = """add {image} format:raw
run
part-disk /dev/sda mbr
pvcreate /dev/sda1
vgcreate group /dev/sda1
lvcreate system group 32
mkfs ext4 /dev/group/system
mount /dev/group/system /
copy-in {tree}/etc {tree}/var /
"""


def run(*argv: str, given: str = "") -> None:
    subprocess.run(argv, input=given, text=True, check=True, capture_output=True)


def make_tree(directory: Path) -> Path:
    """What is on each of the disks: only the name differs."""
    for name in ("etc", "var"):
        (directory / name).mkdir(parents=True)
    (directory / "etc/os-release").write_text("ID=test\n")
    (directory / "var/app").write_text(f"of {directory.name}\n")
    return directory


def make_disk(kind: str, directory: Path) -> Path:
    """A raw disk with a root file system of some kind."""
    tree, image = make_tree(directory / kind), directory / f"{kind}.raw"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    if kind == "xfs":
        proto = directory / "proto"
        proto.write_text(PROTO.format(tree=tree))
        run("mkfs.xfs", "-q", "-p", str(proto), str(image))
    elif kind == "btrfs":
        run("mkfs.btrfs", "-q", "--rootdir", str(tree), str(image))
    elif kind == "lvm":
        os.environ.setdefault("LIBGUESTFS_BACKEND", "direct")
        os.environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
        run("guestfish", given=LVM.format(image=image, tree=tree))
    else:
        quick = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        run("cryptsetup", "luksFormat", "-q", *quick, str(image), "-", given="secret")
    return image


def test_one_appliance_reads_whatever_is_on_the_disks(tmp_path: Path) -> None:
    kinds = ("xfs", "btrfs", "lvm", "luks")
    domains = {
        kind: {
            "memory": 128,
            "nics": [{"net": "lan"}],
            "disks": [{"type": "file", "path": str(make_disk(kind, tmp_path)), "format": "raw"}],
            "artifacts": ["/var/app", "/nowhere"],
        }
        for kind in kinds
    }
    spec = {"domains": domains, "nets": {"lan": {}}}
    with Prefix.create(spec, workdir=tmp_path / "w", config=Config.load({})) as prefix:
        report = prefix.collect_artifacts(tmp_path / "out")
    for kind in kinds[:3]:
        artifacts = report.vms[kind]
        assert artifacts.road is ExtractRoad.DISK, artifacts.error
        assert (tmp_path / "out" / kind / "_var_app").read_text() == f"of {kind}\n"
        assert artifacts.missing == ("/nowhere",)
    error = report.vms["luks"].error
    assert isinstance(error, LagoError)
    assert "is encrypted (LUKS)" in str(error)
