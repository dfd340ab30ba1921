"""Who uses a template is known, and nothing that is used is removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.errors import TemplateError, TemplateInUseError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.plan.models import Image
from lago_sdk.templates.gc import (
    TemplateInfo,
    choose_garbage,
    clear_leftovers,
    collect_garbage,
    get_info,
    list_infos,
    remove_template,
)
from lago_sdk.templates.record import RECORD, Template
from lago_sdk.templates.store import TemplateStore
from lago_sdk.templates.usage import MarkedTemplates, TemplateUse, get_usage, mark_used

DAY = 24 * 3600.0
UUID = "0123456789abcdef" * 2


@pytest.fixture
def store(tmp_path):
    return TemplateStore(tmp_path / "store")


def add(store, name="base", version="1", *, size=4096, below=None):
    source = store.path.parent / "source"
    source.write_bytes(bytes(size - 1) + version.encode()[:1])
    with store.locked(name) as shelf:
        return shelf.add(version, source, timestamp=1.0, size=size, below=below)


def add_prefix(store, name="default", uuid=UUID):
    path = store.path.parent / name / "uuid"
    path.parent.mkdir(exist_ok=True)
    path.write_text(uuid)
    return path


def mark(store, template, name="default", uuid=UUID):
    path = add_prefix(store, name, uuid)
    mark_used(store, template, uuid_path=path, uuid=uuid)
    return path


def set_age(template, seconds):
    when = time.time() - seconds
    os.utime(Path(template.image.path).with_name(RECORD), (when, when))


def references(store):
    return {template.reference for template in store.list()}


class TestMarks:
    def test_a_user_is_there_until_its_uuid_file_is_gone_or_another(self, store):
        template = add(store)
        path = mark(store, template)
        (use,) = get_usage(store, template).users
        assert (use.prefix, use.uuid) == (path.parent, UUID)
        path.write_text("f" * 32)
        assert get_usage(store, template).users == ()
        path.write_text(UUID)
        assert get_usage(store, template).users == (use,)
        path.unlink()
        assert get_usage(store, template).users == ()

    def test_stale_users_are_forgotten_by_the_next_mark(self, store):
        template = add(store)
        mark(store, template, "one", "1" * 32).unlink()
        mark(store, template, "two", "2" * 32)
        record = json.loads((store.path / ".users/base/1.json").read_text())
        assert [user["uuid"] for user in record["users"]] == ["2" * 32]

    def test_a_prefix_is_marked_once_where_it_is_now(self, store):
        template = add(store)
        mark(store, template, "before")
        moved = mark(store, template, "after")
        assert [use.uuid_path for use in get_usage(store, template).users] == [moved]

    def test_every_layer_is_marked(self, store):
        base = add(store, "base")
        middle = add(store, "middle", below="base:1")
        top = add(store, "top", below="middle:1")
        mark(store, top)
        assert all(get_usage(store, layer).users for layer in (base, middle, top))

    def test_what_was_removed_cannot_be_marked(self, store):
        template = add(store)
        remove_template(store, "base")
        with pytest.raises(TemplateNotFoundError):
            mark(store, template)

    @pytest.mark.parametrize("text", ["", "[]", '{"schema": 9}', '{"schema": 1, "users": 3}'])
    def test_a_damaged_registry_protects(self, store, text):
        template = add(store)
        mark(store, template)
        registry = store.path / ".users/base/1.json"
        registry.write_text(text)
        with pytest.raises(TemplateError, match=r"registry .*1\.json"):
            remove_template(store, "base")
        assert references(store) == {"base:1"}

    def test_many_processes_mark_at_once(self, store):
        template = add(store)
        code = (
            "import sys; from pathlib import Path\n"
            "from lago_sdk.templates.store import TemplateStore\n"
            "from lago_sdk.templates.usage import mark_used\n"
            "store = TemplateStore(Path(sys.argv[1]))\n"
            "mark_used(store, store.get_template('base'), uuid_path=Path(sys.argv[2]),\n"
            "          uuid=sys.argv[3])\n"
        )
        running = []
        for number in range(4):
            uuid = f"{number:032x}"
            path = add_prefix(store, f"prefix{number}", uuid)
            argv = [sys.executable, "-c", code, str(store.path), str(path), uuid]
            running.append(subprocess.Popen(argv))
        assert [process.wait(30) for process in running] == [0] * 4
        assert len(get_usage(store, template).users) == 4


class TestMarkedTemplates:
    def make(self, store, source=None, events=None):
        path = add_prefix(store)
        observer = (events if events is not None else []).append
        return MarkedTemplates(source or store, store, uuid_path=path, uuid=UUID, observer=observer)

    def test_what_is_got_is_marked_and_what_is_found_is_not(self, store):
        template = add(store)
        marked = self.make(store)
        assert marked.find("base") == template.image
        assert get_usage(store, template).users == ()
        assert marked.get("base") == template.image
        assert len(get_usage(store, template).users) == 1

    def test_an_image_from_elsewhere_needs_no_mark(self, store):
        image = Image(path="/elsewhere/base/1/image.qcow2", size=1)

        class Elsewhere:
            def find(self, name, version=None):
                return image

            get = find

        assert self.make(store, Elsewhere()).get("base") is image
        assert not store.path.exists()

    def test_what_is_removed_before_it_is_marked_is_got_again(self, store):
        add(store)
        got = []

        class Racing:
            find = store.find

            def get(self, name, version=None):
                image = store.get(name, version) if got else add(store).image
                if not got:
                    remove_template(store, "base")
                    add(store, version="2")
                got.append(image)
                return image

        assert self.make(store, Racing()).get("base").path.endswith("/base/2/image.qcow2")
        assert get_usage(store, store.get_template("base", "2")).users

    def test_a_prefix_that_was_moved_is_marked_where_it_is(self, store):
        template = add(store)
        mark(store, template, "before").unlink()
        self.make(store).mark_image(template.image)
        (use,) = get_usage(store, template).users
        assert use.prefix.name == "default"

    def test_a_fresh_mark_is_not_written_again(self, store):
        template = add(store)
        marked = self.make(store)
        marked.mark_image(template.image)
        registry = store.path / ".users/base/1.json"
        before = registry.stat()
        marked.mark_image(template.image)
        assert registry.stat().st_ino == before.st_ino
        record = json.loads(registry.read_text())
        record["users"][0]["since"] -= 2 * 3600
        registry.write_text(json.dumps(record))
        marked.mark_image(template.image)
        assert time.time() - get_usage(store, template).users[0].since < 60

    def test_an_image_that_is_no_template_is_not_marked(self, store):
        self.make(store).mark_image(Image(path="/elsewhere/disk.qcow2", size=1))
        assert not store.path.exists()

    def test_what_always_disappears_is_an_error(self, store):
        class Gone:
            find = store.find

            def get(self, name, version=None):
                image = add(store).image
                remove_template(store, "base")
                return image

        with pytest.raises(TemplateNotFoundError, match="removed"):
            self.make(store, Gone()).get("base")

    def test_a_store_that_cannot_be_written_is_used_with_a_warning(self, store):
        template = add(store)
        shutil.rmtree(store.path / ".locks")
        (store.path / ".locks").write_text("in the way")
        events = []
        assert self.make(store, events=events).get("base") == template.image
        (note,) = events
        assert isinstance(note, Note)
        assert note.warning
        assert "cannot be marked" in note.message


class TestRemove:
    def test_what_is_used_stays_and_the_users_are_named(self, store):
        template = add(store)
        path = mark(store, template)
        with pytest.raises(TemplateInUseError, match=str(path.parent)):
            remove_template(store, "base")
        path.unlink()
        assert remove_template(store, "base").template == template
        assert store.list() == ()
        assert not (store.path / "base").exists()
        assert list((store.path / ".tmp/.removed").iterdir()) == []
        assert not (store.path / ".users/base/1.json").exists()

    def test_force_removes_what_is_used(self, store):
        mark(store, add(store))
        remove_template(store, "base", force=True)
        assert store.list() == ()

    def test_a_layer_below_another_template_stays(self, store):
        add(store, "base")
        add(store, "top", below="base:1")
        with pytest.raises(TemplateInUseError, match="the template top:1"):
            remove_template(store, "base")
        remove_template(store, "top")
        remove_template(store, "base")

    def test_a_layer_needs_what_is_below_it(self, store):
        with pytest.raises(TemplateNotFoundError, match="'base'"):
            add(store, "top", below="base:1")
        assert store.list() == ()
        assert list((store.path / ".tmp").iterdir()) == []

    def test_of_several_versions_one_must_be_named(self, store):
        add(store, version="1")
        add(store, version="2")
        with pytest.raises(TemplateError, match="2 versions") as caught:
            remove_template(store, "base")
        assert "base:1" in caught.value.hint
        remove_template(store, "base", "1")
        assert references(store) == {"base:2"}

    def test_what_is_not_there_is_an_error(self, store):
        with pytest.raises(TemplateNotFoundError):
            remove_template(store, "base")
        assert not store.path.exists()

    @pytest.mark.parametrize("name", ["..", "../x", ".locks", "a/b", ""])
    def test_names_that_leave_the_store_are_refused(self, store, name):
        add(store)
        with pytest.raises(TemplateError, match="cannot be the name"):
            remove_template(store, name)
        with pytest.raises(TemplateError, match="cannot be the name"):
            remove_template(store, "base", name)

    def test_of_many_removers_one_wins(self, store):
        add(store)
        outcomes = []

        def remove():
            try:
                outcomes.append(remove_template(store, "base"))
            except TemplateNotFoundError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=remove) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sum(isinstance(outcome, TemplateInfo) for outcome in outcomes) == 1
        assert len(outcomes) == 8


class TestGarbage:
    def test_by_age(self, store):
        old, new = add(store, "old"), add(store, "new")
        set_age(old, 31 * DAY)
        report = collect_garbage(store, older_than=30 * DAY, max_size=None)
        assert [info.template for info in report.removed] == [old]
        assert [info.template for info in report.kept] == [new]
        assert report.freed == report.removed[0].disk_usage > 0
        assert references(store) == {"new:1"}

    def test_use_makes_young(self, store):
        template = add(store)
        set_age(template, 31 * DAY)
        mark(store, template).unlink()
        assert collect_garbage(store, older_than=30 * DAY, max_size=None).removed == ()

    def test_by_size_the_least_recently_used_first(self, store):
        for age, name in enumerate(["c", "b", "a"]):
            set_age(add(store, name, size=1 << 20), age * DAY)
        size = get_info(store, "a").disk_usage
        report = collect_garbage(store, older_than=None, max_size=2 * size)
        assert [info.template.name for info in report.removed] == ["a"]

    def test_without_limits_nothing_is_removed(self, store):
        set_age(add(store), 1000 * DAY)
        assert collect_garbage(store, older_than=None, max_size=None).removed == ()

    def test_a_dry_run_removes_nothing(self, store):
        set_age(add(store), DAY)
        report = collect_garbage(store, older_than=0, max_size=None, is_dry=True)
        assert len(report.removed) == 1
        assert report.is_dry
        assert references(store) == {"base:1"}

    def test_what_a_prefix_uses_stays_with_all_below_it(self, store):
        base, top = add(store, "base"), add(store, "top", below="base:1")
        for template in (base, top, add(store, "free")):
            set_age(template, 99 * DAY)
        path = mark(store, top)
        (store.path / ".users/base/1.json").unlink()  # what is above protects it too
        collect_garbage(store, older_than=0, max_size=0)
        assert references(store) == {"base:1", "top:1"}
        path.unlink()
        report = collect_garbage(store, older_than=None, max_size=0)
        assert [info.template.name for info in report.removed] == ["top", "base"]

    def test_an_empty_store_stays_away(self, store):
        report = collect_garbage(store, older_than=0, max_size=0)
        assert (report.removed, report.kept) == ((), ())
        assert not store.path.exists()

    def test_marking_and_collecting_at_once_never_lose_a_used_image(self, store):
        path, stop = add_prefix(store), threading.Event()

        class Source:
            find = store.find

            def get(self, name, version=None):
                return add(store).image

        def collect():
            while not stop.is_set():
                collect_garbage(store, older_than=-1, max_size=0)

        marked = MarkedTemplates(
            Source(), store, uuid_path=path, uuid=UUID, observer=lambda event: None
        )
        thread = threading.Thread(target=collect)
        thread.start()
        kept = 0
        try:
            for _ in range(10):
                path.write_text(UUID)
                with contextlib.suppress(TemplateNotFoundError):  # the collector is that fast
                    image = Path(marked.get("base").path)
                    for _ in range(10):
                        assert image.exists()
                        time.sleep(0.001)
                    kept += 1
                path.unlink()
        finally:
            stop.set()
            thread.join(30)
        assert kept


class TestLeftovers:
    def test_what_killed_processes_left_is_removed(self, store):
        add(store)
        left = [store.path / ".tmp/base/half", store.path / ".tmp/.removed/x/1"]
        for path in left:
            path.mkdir(parents=True)
            (path / "image").write_bytes(b"x")
        clear_leftovers(store)
        assert not any(path.parent.exists() for path in left[:1])
        assert list((store.path / ".tmp/.removed").iterdir()) == []
        assert references(store) == {"base:1"}

    def test_what_is_in_the_making_stays(self, store):
        with store.locked("base") as shelf:
            (shelf.scratch / "half").write_bytes(b"x")
            clear_leftovers(store)
            assert (shelf.scratch / "half").exists()

    def test_broken_off_downloads_stay_for_a_week(self, store):
        add(store)
        partial = store.path / ".tmp/.partial/base"
        partial.mkdir(parents=True)
        part = partial / "key.part"
        part.write_bytes(b"x")
        clear_leftovers(store)
        assert part.exists()
        for path in (part, partial):
            os.utime(path, (time.time() - 8 * DAY,) * 2)
        clear_leftovers(store)
        assert not partial.exists()


@st.composite
def stores(draw):
    count = draw(st.integers(0, 8))
    infos = []
    for number in range(count):
        below = draw(st.none() | st.integers(0, number - 1)) if number else None
        users = draw(st.integers(0, 1))
        name = f"t{number}"
        infos.append(
            TemplateInfo(
                template=Template(
                    name=name,
                    version="1",
                    timestamp=0.0,
                    image=Image(path=f"/store/{name}/1/image.qcow2", size=1),
                    below=None if below is None else f"t{below}:1",
                ),
                disk_usage=draw(st.integers(0, 10)),
                last_used=float(draw(st.integers(0, 100))),
                users=(TemplateUse(uuid_path=Path("/p/uuid"), uuid=UUID, since=0.0),) * users,
                above=(),
            )
        )
    return [
        attrs.evolve(
            info,
            above=tuple(
                x.template.reference for x in infos if x.template.below == info.template.reference
            ),
        )
        for info in infos
    ]


@given(stores(), st.none() | st.integers(0, 100), st.none() | st.integers(0, 40))
def test_garbage_is_never_needed_and_never_too_little(infos, older_than, max_size):
    chosen = choose_garbage(infos, older_than=older_than, max_size=max_size, now=100.0)
    gone = {info.template.reference for info in chosen}
    kept = [info for info in infos if info.template.reference not in gone]
    assert not any(info.users for info in chosen)
    assert not any(info.template.below in gone for info in kept)
    left = {info.template.reference for info in kept}
    free = [info for info in kept if not info.users and left.isdisjoint(info.above)]
    if older_than is not None:
        assert all(100.0 - info.last_used <= older_than for info in free)
    if max_size is not None and free:
        assert sum(info.disk_usage for info in kept) <= max_size
    # Nothing more than asked for: the last one was too old, or the store still too large.
    if chosen:
        last = chosen[-1]
        is_old = older_than is not None and 100.0 - last.last_used > older_than
        before = sum(info.disk_usage for info in kept) + last.disk_usage
        assert is_old or (max_size is not None and before > max_size)


def test_infos_tell_what_each_costs_and_serves(store):
    add(store, "base", size=1 << 20)
    path = mark(store, add(store, "top", below="base:1"))
    base, top = list_infos(store)
    assert (base.above, top.above) == (("top:1",), ())
    assert [use.uuid_path for use in top.users] == [path]
    assert base.is_used
    assert top.is_used
    assert list_infos(store, "top") == (top,)
    assert get_info(store, "top") == top
