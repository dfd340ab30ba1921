"""What a guest sends as an archive lands in its place, and nowhere else."""

import io
import tarfile
from pathlib import Path

import pytest

from lago_sdk.adapters.landing import Landing
from lago_sdk.adapters.process import run
from lago_sdk.adapters.unpack import unpack
from lago_sdk.errors import LagoError


def member(name, kind=tarfile.REGTYPE, link="", data=b"", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode, info.mtime = kind, link, len(data), mode, 1e9
    return info, data


def archive(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def land(tmp_path, *members, size=1000):
    """Unpack members whose names begin with ``d/`` into ``place``; returns what was left out."""
    data = archive(*members)
    landing = Landing(tmp_path / "place", "/d")
    unpack((data[i : i + size] for i in range(0, len(data), size)), {("d",): landing})
    assert {path.name for path in tmp_path.iterdir()} <= {"place"}
    return {item.path for item in landing.skipped}


def test_files_keep_content_time_and_the_harmless_bits_of_their_mode(tmp_path):
    big = bytes(range(256)) * 10_000 + bytes(3 << 20)
    directory = member("./d/sub", tarfile.DIRTYPE, mode=0o2777)
    assert land(tmp_path, directory, member("./d/sub/x", data=big, mode=0o6777)) == set()
    found = tmp_path / "place/sub/x"
    assert found.read_bytes() == big
    assert found.stat().st_mode & 0o7777 == 0o755
    assert found.parent.stat().st_mode & 0o7777 == 0o755
    assert found.stat().st_mtime == 1e9


def test_zeros_become_holes(tmp_path):
    land(tmp_path, member("d/x", data=bytes(8 << 20)))
    found = (tmp_path / "place/x").stat()
    assert found.st_size == 8 << 20
    assert found.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("name", ["d/../../x", "d/sub/../../../x"])
def test_names_that_lead_out_are_left_out(tmp_path, name):
    assert land(tmp_path, member(name, data=b"x"), member("d/ok", data=b"y"))
    assert (tmp_path / "place/ok").read_bytes() == b"y"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "x", "e/d/x", "..", "/"])
def test_what_was_not_asked_for_is_passed_over(tmp_path, name):
    assert land(tmp_path, member(name, data=b"x")) == set()
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(
    ("target", "is_kept"),
    [
        ("b", True), ("../b", True), ("sub/b", True), ("./b", True), ("../sub/./b", True),
        ("/etc/passwd", False), ("../../b", False), ("sub/../../../b", False), ("sub/..", False),
        ("", False), ("../..", False),
    ],
)  # fmt: skip
def test_links_lead_nowhere_out(tmp_path, target, is_kept):
    left = land(tmp_path, member("d/sub/link", tarfile.SYMTYPE, target))
    assert (tmp_path / "place/sub/link").is_symlink() is is_kept
    assert (left == set()) is is_kept


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "place").mkdir()
    land(
        tmp_path,
        member("d/sub", tarfile.DIRTYPE),
        member("d/l", tarfile.SYMTYPE, "sub"),
        member("d/l/x", data=b"x"),
        member("d/sub/up", tarfile.SYMTYPE, ".."),
        member("d/far", tarfile.SYMTYPE, "sub/up/sub"),
    )
    assert (tmp_path / "place/l/x").read_bytes() == b"x"
    assert not (tmp_path / "place/l").is_symlink()
    assert (tmp_path / "place/far").resolve() == (tmp_path / "place/sub").resolve()


def test_links_of_an_earlier_landing_are_not_followed(tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "place").mkdir()
    (tmp_path / "place/sub").symlink_to(outside)
    (tmp_path / "place/file").symlink_to(outside / "file")
    land(tmp_path, member("d/sub/x", data=b"x"), member("d/file", data=b"y"))
    assert list(outside.iterdir()) == []
    assert (tmp_path / "place/sub/x").read_bytes() == b"x"


def test_hard_links_are_to_what_has_come(tmp_path):
    left = land(
        tmp_path,
        member("d/a", data=b"a"),
        member("d/b", tarfile.LNKTYPE, "d/a"),
        member("d/c", tarfile.LNKTYPE, "/etc/passwd"),
        member("d/e", tarfile.LNKTYPE, "d/later"),
        member("d/f", tarfile.LNKTYPE, "d/../../etc/passwd"),
    )
    assert (tmp_path / "place/b").samefile(tmp_path / "place/a")
    assert left == {"/d/c", "/d/e", "/d/f"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_not_made(tmp_path, kind):
    assert land(tmp_path, member("d/x", kind)) == {"/d/x"}


def test_a_name_that_is_too_long_spoils_nothing_else(tmp_path):
    long = "n" * 300
    assert land(tmp_path, member(f"d/{long}", data=b"x" * 5000), member("d/y", data=b"y")) == {
        f"/d/{long}"
    }
    assert (tmp_path / "place/y").read_bytes() == b"y"


def test_very_deep_directories_do_not_break_it(tmp_path):
    deep = "/".join("x" * 1500)
    land(tmp_path, member(f"d/{deep}", data=b"x"), member("d/y", data=b"y"))
    assert (tmp_path / "place/y").exists()
    run(["rm", "-rf", str(tmp_path / "place")])  # too deep for pytest to clean up


def test_a_single_file_lands_under_its_own_name(tmp_path):
    landing = Landing(tmp_path / "made/name", "/etc/x")
    unpack([archive(member("./etc/x", data=b"x"))], {("etc", "x"): landing})
    assert (tmp_path / "made/name").read_bytes() == b"x"


@pytest.mark.parametrize("data", [b"no archive at all" * 100, b"\1"])
def test_a_damaged_archive_is_told(tmp_path, data):
    with pytest.raises(LagoError, match="damaged"):
        unpack([data], {("d",): Landing(tmp_path / "x", "/d")})


def test_an_archive_that_breaks_off_is_told(tmp_path):
    data = archive(member("d/x", data=b"x" * 100_000))[:50_000]
    with pytest.raises(LagoError, match="damaged"):
        unpack([data], {("d",): Landing(tmp_path / "x", "/d")})


def test_nothing_sent_is_no_archive(tmp_path):
    unpack([], {("d",): Landing(tmp_path / "x", "/d")})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    landing = Landing(Path("/proc/nowhere/x"), "/d")
    with pytest.raises(LagoError, match="cannot write"):
        unpack([archive(member("d/x", data=b"x"))], {("d",): landing})
