"""The run directory is used only where nobody else could have prepared it."""

import os
from pathlib import Path

import pytest

from lago_sdk.adapters.hosts import rundir
from lago_sdk.errors import HostError


def test_it_is_made_for_us_alone_with_its_parents(tmp_path):
    run_dir = tmp_path / "lago" / "0123abcd"
    assert not rundir.find_safe(run_dir)
    rundir.create(run_dir)
    assert rundir.find_safe(run_dir)
    assert run_dir.stat().st_mode & 0o777 == 0o700
    assert run_dir.parent.stat().st_mode & 0o777 == 0o700


def test_what_a_dead_host_left_is_cleared(tmp_path):
    run_dir = tmp_path / "run"
    rundir.create(run_dir)
    (run_dir / "control").touch()
    rundir.create(run_dir)
    assert list(run_dir.iterdir()) == []


def test_removing_is_idempotent(tmp_path):
    run_dir = tmp_path / "run"
    rundir.create(run_dir)
    rundir.remove(run_dir)
    rundir.remove(run_dir)
    assert not run_dir.exists()


def test_a_link_is_refused_and_what_it_leads_to_left_alone(tmp_path):
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (target / "file").touch()
    (tmp_path / "run").symlink_to(target)
    for action in (rundir.create, rundir.remove, rundir.find_safe):
        with pytest.raises(HostError, match="links are not followed"):
            action(tmp_path / "run")
    assert (target / "file").exists()


def test_a_link_as_its_parent_is_refused(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "lago").symlink_to(target)
    with pytest.raises(HostError, match="links are not followed"):
        rundir.create(tmp_path / "lago" / "run")


def test_one_that_others_can_enter_is_refused(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    run_dir.chmod(0o750)
    with pytest.raises(HostError, match="other users can enter") as caught:
        rundir.create(run_dir)
    assert caught.value.hint == f"chmod 0700 {run_dir}"


def test_a_parent_that_others_can_write_to_is_refused(tmp_path):
    parent = tmp_path / "lago"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(HostError, match="other users can write"):
        rundir.create(parent / "run")
    parent.chmod(0o1777)
    rundir.create(parent / "run")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_directories_of_other_users_are_refused(tmp_path):
    parent = tmp_path / "lago"
    parent.mkdir()
    os.chown(parent, 12345, 12345)
    with pytest.raises(HostError, match="belongs to user 12345"):
        rundir.create(parent / "run")
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    os.chown(run_dir, 12345, 12345)
    with pytest.raises(HostError, match="belongs to user 12345, not to us"):
        rundir.find_safe(run_dir)


@pytest.mark.parametrize(("length", "fits"), [(88, True), (89, False)])
def test_paths_of_sockets_must_fit_into_the_kernels_limit(length, fits):
    run_dir = Path("/" + "x" * (length - 1))
    if fits:
        rundir.check_path(run_dir)
        return
    with pytest.raises(HostError, match="too long") as caught:
        rundir.check_path(run_dir)
    assert "shorter" in caught.value.hint
