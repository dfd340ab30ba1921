"""Files are told by their content, machines by what QEMU says."""

import hashlib
import json
import os
import time

import pytest

from lago_sdk.adapters.fingerprints import LocalFingerprints
from lago_sdk.errors import HostError, LagoError
from lago_sdk.plan.facts import Accel, HostFacts


@pytest.fixture
def prints(tmp_path):
    return LocalFingerprints(tmp_path / "cache")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A file that was not changed for long, as far as the clock says."""
    path = tmp_path / "image"
    path.write_text("one")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    return path


def digest(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_a_digest_is_that_of_the_content_and_remembered(prints, old, tmp_path, monkeypatch):
    assert prints.digest_file(old) == digest("one")
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert prints.digest_file(old) == digest("one")
    (memory,) = (tmp_path / "cache" / "digests").iterdir()
    assert memory.stat().st_mode & 0o777 == 0o600


def test_a_change_that_hides_itself_is_seen(prints, old):
    before = old.stat()
    prints.digest_file(old)
    old.write_text("two")  # as long as before
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert old.stat().st_mtime_ns == before.st_mtime_ns
    assert prints.digest_file(old) == digest("two")


def test_another_file_of_that_name_is_seen(prints, old):
    prints.digest_file(old)
    other = old.with_name("other")
    other.write_text("new")
    other.replace(old)
    assert prints.digest_file(old) == digest("new")


def test_a_file_that_was_just_written_is_not_remembered(prints, tmp_path):
    path = tmp_path / "image"
    path.write_text("one")
    assert prints.digest_file(path) == digest("one")
    assert not (tmp_path / "cache" / "digests").exists()


def test_what_is_remembered_may_be_damaged(prints, old, tmp_path):
    prints.digest_file(old)
    (memory,) = (tmp_path / "cache" / "digests").iterdir()
    memory.write_text("{")
    assert prints.digest_file(old) == digest("one")


def test_a_file_that_is_not_there_is_an_error(prints, tmp_path):
    with pytest.raises(LagoError, match="cannot read"):
        prints.digest_file(tmp_path / "none")


QEMU = """#!/bin/sh
cat > {asked}
echo '{{"QMP": {{}}}}'
echo '{{"return": {{}}}}'
echo '{{"return": {version}, "id": "query-version"}}'
echo '{{"event": "SHUTDOWN"}}'
echo '{{"return": {{"model": {model}}}, "id": "query-cpu-model-expansion"}}'
"""


def make_qemu(tmp_path, *, version='"7.2"', model='"max"'):
    path = tmp_path / "qemu"
    asked = tmp_path / "asked"
    path.write_text(QEMU.format(asked=asked, version=version, model=model))
    path.chmod(0o755)
    return HostFacts(accel=Accel.TCG, emulator=str(path))


def test_a_host_is_what_its_qemu_says(prints, tmp_path):
    facts = make_qemu(tmp_path)
    found = prints.describe_host(facts)
    assert (found["qemu"], found["cpu"], found["kernel"]) == ("7.2", {"model": "max"}, None)
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert [command["execute"] for command in asked][1:3] == [
        "query-version",
        "query-cpu-model-expansion",
    ]
    other = prints.describe_host(make_qemu(tmp_path, model='"less"'))
    assert {name for name in found if found[name] != other[name]} == {"cpu", "emulator"}
    assert json.dumps(found)


def test_a_qemu_that_says_nothing_is_an_error(prints, tmp_path):
    facts = make_qemu(tmp_path)
    (tmp_path / "qemu").write_text("#!/bin/sh\necho no such option >&2; exit 1\n")
    with pytest.raises(HostError, match="does not tell") as caught:
        prints.describe_host(facts)
    assert "no such option" in caught.value.hint
