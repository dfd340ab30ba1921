"""Images compressed and decompressed."""

import hashlib
import os
import shutil
import subprocess

import pytest

from lago_sdk.errors import ImageError
from lago_sdk.ports import Compression
from lago_sdk.templates import packing

MIB = 1 << 20


def ignore(done, total):
    pass


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(40 * MIB)
        file.write(b"end")
        file.truncate(64 * MIB)
    return path


def digest(path):
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("compression", Compression)
def test_there_and_back_stays_sparse_and_has_both_digests(compression, image, tmp_path):
    packed, back = tmp_path / "packed", tmp_path / "back"
    told = []
    found = packing.pack(
        image, packed, compression, threads=2, progress=lambda done, _: told.append(done)
    )
    assert (found.content_digest, found.digest) == (digest(image), digest(packed))
    assert told == sorted(told)
    assert told[-1] == 64 * MIB
    assert packing.is_packed(packed)
    assert not packing.is_packed(image)
    assert packing.read_head(packed, 4096) == packing.read_head(image, 4096)
    packing.unpack(packed, back, progress=ignore)
    assert digest(back) == digest(image)
    assert back.stat().st_size == 64 * MIB
    assert back.stat().st_blocks * 512 < 3 * MIB
    assert packing.make_digest(back, progress=ignore) == digest(image)


def test_the_programs_of_others_read_it(image, tmp_path):
    for compression in Compression:
        packed = tmp_path / f"packed{compression.suffix}"
        packing.pack(image, packed, compression, threads=1, progress=ignore)
        done = subprocess.run(
            [compression.value, "-dc", packed], capture_output=True, check=True, timeout=60
        )
        assert done.stdout == image.read_bytes()


@pytest.mark.parametrize("compression", Compression)
def test_a_cut_file_leaves_nothing(compression, image, tmp_path):
    packed, back = tmp_path / "packed", tmp_path / "back"
    packing.pack(image, packed, compression, threads=1, progress=ignore)
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(ImageError, match="cannot decompress"):
        packing.unpack(packed, back, progress=ignore)
    assert not back.exists()


def test_what_cannot_be_read_or_is_given_up_leaves_nothing(image, tmp_path):
    target = tmp_path / "packed"
    with pytest.raises(ImageError, match="No such file"):
        packing.pack(tmp_path / "gone", target, Compression.XZ, threads=1, progress=ignore)
    assert not target.exists()
    with pytest.raises(ImageError, match="cannot read"):
        packing.make_digest(tmp_path, progress=ignore)

    def give_up(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packing.pack(image, target, Compression.ZSTD, threads=1, progress=give_up)
    assert not target.exists()


def test_a_missing_program_is_named(image, tmp_path, monkeypatch):
    from lago_sdk.adapters import process
    from lago_sdk.errors import MissingToolError

    monkeypatch.setattr(process, "find_tool", lambda name: None)
    with pytest.raises(MissingToolError, match="zstd"):
        packing.pack(image, tmp_path / "x", Compression.ZSTD, threads=1, progress=ignore)
    assert shutil.which("zstd")
