"""The template store: entries are complete or absent, and made once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates.store import TemplateStore


@pytest.fixture
def store(tmp_path):
    return TemplateStore(tmp_path / "store")


def add(store, name="base", version="1", content=b"image", timestamp=1.0, **values):
    source = store.path.parent / "source"
    source.write_bytes(content)
    with store.locked(name) as shelf:
        return shelf.add(version, source, timestamp=timestamp, size=4096, **values)


def test_an_entry_comes_back_with_all_its_facts(store):
    added = add(store, metadata={"distro": "debian"})
    assert store.get_template("base") == added
    assert added.image == store.get("base", "1") == store.find("base")
    assert added.image.size == 4096
    assert added.image.format is DiskFormat.QCOW2
    assert added.image.metadata == {"distro": "debian"}
    assert Path(added.image.path).read_bytes() == b"image"
    assert added.image.digest.startswith("sha256:6105d6cc76af400325e94d588ce511be")


def test_images_are_read_only_and_nothing_else_is_left(store):
    path = Path(add(store).image.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list((store.path / ".tmp").iterdir()) == []


def test_the_newest_is_the_default_whatever_its_name(store):
    add(store, version="9", timestamp=1.0)
    add(store, version="10", timestamp=3.0)
    add(store, version="2", timestamp=2.0)
    assert store.get_template("base").version == "10"
    assert [template.version for template in store.list("base")] == ["10", "2", "9"]


def test_all_templates_by_name(store):
    add(store, name="b")
    add(store, name="a")
    assert [template.name for template in store.list()] == ["a", "b"]


def test_a_store_that_does_not_exist_is_empty(store):
    assert store.list() == ()
    assert store.find("base") is None
    assert not store.path.exists()


def test_other_files_in_the_store_are_no_templates(store):
    added = add(store)
    (store.path / "README").write_text("mine")
    (store.path / "base" / "notes").write_text("mine")
    (store.path / "empty").mkdir()
    assert store.list() == (added,)
    assert store.list("README") == ()
    assert store.find("base", "notes") is None


def test_a_version_that_is_in_use_is_never_replaced(store):
    first = add(store, content=b"one", timestamp=1.0)
    assert add(store, content=b"two", timestamp=2.0) == first
    assert Path(first.image.path).read_bytes() == b"one"


def test_an_unknown_name_hints_at_a_similar_one(store):
    add(store, name="debian-12")
    with pytest.raises(TemplateNotFoundError) as caught:
        store.get("debain-12")
    assert caught.value.hint == "did you mean 'debian-12'?"


def test_a_recipe_that_was_not_built_yet_is_hinted_at(store):
    with pytest.raises(TemplateNotFoundError) as caught:
        store.get("tiny")
    assert "lagoctl template build tiny" in caught.value.hint


def test_an_unknown_version_names_those_there_are(store):
    add(store, version="1")
    with pytest.raises(TemplateNotFoundError, match="no version '7'") as caught:
        store.get("base", "7")
    assert caught.value.hint == "there are: 1"
    assert store.find("base", "7") is None


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\n", "a:b", "x" * 129])
def test_names_that_could_leave_the_store_are_refused(store, name):
    with pytest.raises(TemplateError, match="cannot be the name"):
        store.find(name)
    with pytest.raises(TemplateError, match="cannot be the name"):
        store.find("base", name)
    with pytest.raises(TemplateError, match="cannot be the name"), store.locked(name):
        pass


def test_verify_sees_a_changed_and_a_missing_image(store):
    path = Path(add(store).image.path)
    assert store.verify("base").version == "1"
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(TemplateError, match="damaged"):
        store.verify("base")
    path.unlink()
    with pytest.raises(TemplateError, match="cannot read"):
        store.verify("base")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "image": "x", "format": "?"}']
)
def test_a_damaged_record_is_an_error_that_names_it(store, text):
    record = Path(add(store).image.path).with_name("template.json")
    record.chmod(0o644)
    record.write_text(text)
    with pytest.raises(TemplateError, match=r"template\.json"):
        store.find("base")


def test_a_record_of_another_schema_says_so(store):
    record = Path(add(store).image.path).with_name("template.json")
    record.chmod(0o644)
    record.write_text(json.dumps({"schema": 99}))
    with pytest.raises(TemplateError, match="schema 99"):
        store.find("base")


def test_a_record_cannot_point_out_of_its_directory(store):
    record = Path(add(store).image.path).with_name("template.json")
    record.chmod(0o644)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"image": "../../../etc/x"}))
    assert Path(store.get("base").path).parent == record.parent


def test_what_a_killed_process_left_is_removed_by_the_next(store):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from lago_sdk.templates.store import TemplateStore\n"
        "with TemplateStore(Path(sys.argv[1])).locked('base') as shelf:\n"
        "    (shelf.scratch / 'half').write_bytes(b'x')\n"
        "    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store.path], check=False)
    assert done.returncode == 9
    assert (store.path / ".tmp/base/half").exists()
    assert store.list() == ()
    with store.locked("base") as shelf:
        assert list(shelf.scratch.iterdir()) == []


def test_a_directory_without_a_record_is_no_entry(store):
    entry = store.path / "base/1"
    entry.mkdir(parents=True)
    (entry / "image.qcow2").write_bytes(b"half")
    assert store.list() == ()
    assert Path(add(store).image.path).read_bytes() == b"image"


def test_the_second_waits_and_says_for_whom(store):
    events = []
    waiting = threading.Event()

    def observe(event):
        events.append(event)
        waiting.set()

    def second():
        with store.locked("base", observe):
            events.append("got it")

    with store.locked("base"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        events.append("released")
    thread.join(10)
    assert isinstance(events[0], Note)
    assert str(os.getpid()) in events[0].message
    assert events[1:] == ["released", "got it"]


def test_other_templates_need_not_wait(store):
    with store.locked("one"), store.locked("two"):
        pass


def test_a_store_that_cannot_be_written_is_an_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(TemplateError, match="cannot write to the template store"):
        add(TemplateStore(blocked))
