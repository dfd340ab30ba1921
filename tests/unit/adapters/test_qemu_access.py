"""Whether QEMU's user can reach a file: as the kernel decides it."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lago_sdk.adapters.access import Step, User, _list_steps, find_blocking, find_qemu_user

USER = User(name="qemu", uid=107, gids=frozenset({107, 36}))
OBJ, USR, GROUP_OBJ, GRP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def directory(mode, *, uid=1000, gid=1000, acl=(), path="/home/ann"):
    return Step(path=Path(path), mode=stat.S_IFDIR | mode, uid=uid, gid=gid, acl=acl)


def file(mode, **values):
    return Step(
        path=Path("/image"), mode=stat.S_IFREG | mode, **{"uid": 1000, "gid": 1000, **values}
    )


@pytest.mark.parametrize(
    ("step", "is_open"),
    [
        (directory(0o755), True),
        (directory(0o711), True),
        (directory(0o700), False),
        (directory(0o744), False),
        (directory(0o750, gid=36), True),
        (directory(0o705, gid=36), False),  # a group's member is not another
        (directory(0o700, uid=107), True),
        (directory(0o077, uid=107, gid=36), False),
        (file(0o444), True),
        (file(0o440), False),
        (file(0o440, gid=107), True),
        (file(0o111), False),
    ],
)
def test_the_first_class_that_fits_counts(step, is_open):
    assert (find_blocking([step], USER) is None) == is_open


@pytest.mark.parametrize(
    ("acl", "is_open"),
    [
        (((USR, 1, 107), (GROUP_OBJ, 0, 0), (MASK, 1, 0)), True),
        (((USR, 1, 107), (GROUP_OBJ, 0, 0), (MASK, 0, 0)), False),
        (((USR, 1, 108), (GROUP_OBJ, 0, 0), (MASK, 7, 0)), False),
        (((GRP, 5, 36), (GROUP_OBJ, 0, 0), (MASK, 5, 0)), True),
        (((GRP, 4, 36), (GRP, 1, 107), (GROUP_OBJ, 0, 0), (MASK, 7, 0)), True),
        (((GRP, 1, 99), (GROUP_OBJ, 0, 0), (MASK, 7, 0)), False),
    ],
)
def test_access_control_lists_count(acl, is_open):
    assert (find_blocking([directory(0o710, acl=acl)], USER) is None) == is_open


def test_the_first_that_blocks_is_told():
    steps = [directory(0o755), directory(0o700, path="/first"), directory(0o700, path="/second")]
    assert find_blocking(steps, USER).path == Path("/first")
    assert find_blocking([], USER) is None


def test_steps_lead_from_the_root_through_links(tmp_path):
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(real)
    (real / "image").touch()
    steps = list(_list_steps(tmp_path / "link" / "image"))
    assert steps[0].path == Path("/")
    assert [step.path for step in steps[-2:]] == [real, real / "image"]
    assert find_blocking(steps, User(name="x", uid=54321, gids=frozenset())) is not None


@pytest.mark.skipif(shutil.which("setfacl") is None, reason="setfacl is not installed")
def test_lists_are_read_as_setfacl_writes_them(tmp_path):
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    stranger = User(name="x", uid=54321, gids=frozenset())
    assert find_blocking(list(_list_steps(place))[-1:], stranger)
    subprocess.run(["setfacl", "-m", "u:54321:x", place], check=True)
    assert find_blocking(list(_list_steps(place))[-1:], stranger) is None


class TestQemuUser:
    def test_the_configuration_counts(self, tmp_path):
        conf = tmp_path / "qemu.conf"
        conf.write_text('#user = "nobody"\nuser = "root"\n group = "+4242"\n')
        user = find_qemu_user(conf)
        assert (user.name, user.uid) == ("root", 0)
        assert 4242 in user.gids

    def test_numbers_are_users_too(self, tmp_path):
        conf = tmp_path / "qemu.conf"
        conf.write_text(f'user = "+{os.getuid()}"\n')
        assert find_qemu_user(conf).uid == os.getuid()

    def test_an_unknown_user_is_no_answer(self, tmp_path):
        conf = tmp_path / "qemu.conf"
        conf.write_text('user = "no-such-user"\ngroup = "no-such-group"\n')
        assert find_qemu_user(conf) is None
