"""Seed media: read back by somebody else's ISO 9660 reader."""

from __future__ import annotations

import io
import shutil
import stat
import subprocess

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.adapters.seed_iso import SeedIso, render_iso
from lago_sdk.errors import ImageError, LagoError

FILES = {
    "meta-data": b"instance-id: x\n",
    "network-config": b"n" * 5000,
    "user-data": b"#cloud-config\n",
    "vendor-data": b"",
}


def read_iso(data: bytes) -> dict[str, bytes]:
    """Return the files of an image by their Joliet names."""
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(data))
    files = {}
    for child in iso.list_children(joliet_path="/"):
        if child.is_dot() or child.is_dotdot():
            continue
        name = child.file_identifier().decode("utf-16-be")
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, joliet_path=f"/{name}")
        files[name] = content.getvalue()
    iso.close()
    return files


def test_names_and_contents_come_back():
    assert read_iso(render_iso(FILES, label="cidata")) == FILES


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9_-][a-z0-9._-]{0,63}", fullmatch=True),
        st.binary(max_size=5000),
        max_size=40,
    )
)
def test_any_files_come_back(files):
    assert read_iso(render_iso(files, label="cidata")) == files


def test_the_medium_is_found_by_its_label(tmp_path):
    path = tmp_path / "seed.iso"
    SeedIso().create_seed(path, FILES)
    blkid = shutil.which("blkid", path="/usr/sbin:/sbin:/usr/bin")
    assert blkid is not None
    shown = subprocess.run(
        [blkid, "-p", "-o", "export", path], check=True, capture_output=True, text=True
    )
    assert "LABEL=cidata" in shown.stdout
    assert "TYPE=iso9660" in shown.stdout


def test_small_readers_get_the_68_kib_they_ask_for():
    assert len(render_iso({"meta-data": b""}, label="cidata")) >= 68 * 1024


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "seed.iso"
    path.write_text("old")
    SeedIso().create_seed(path, FILES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "new\nline", "a;1", "schlüssel"])
def test_names_that_do_not_fit_are_refused(name):
    with pytest.raises(ImageError):
        render_iso({name: b""}, label="cidata")


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(LagoError, match=r"seed\.iso"):
        SeedIso().create_seed(tmp_path / "missing" / "seed.iso", FILES)
