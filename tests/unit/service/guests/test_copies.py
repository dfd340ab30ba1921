"""Copies by the handle of a VM, on fakes."""

import io

import attrs
import pytest
from fake_labs import make_lab

from lago_sdk.errors import CommandError, LagoError, PathNotFoundError, VMNotRunningError
from lago_sdk.events import Note, Progress, StageFinished
from lago_sdk.ports import Skipped
from lago_sdk.service.guests.copies import Meter
from lago_sdk.testing import make_world


@pytest.fixture
def seen():
    return []


@pytest.fixture
def lab(tmp_path, seen):
    world = attrs.evolve(make_world(), observe=seen.append)
    prefix, world = make_lab(tmp_path, world=world)
    prefix.start()
    seen.clear()
    return prefix.vms["web"], world.guests["web"]


def test_files_go_and_come_and_stages_are_told(lab, seen, tmp_path):
    web, guest = lab
    (tmp_path / "f").write_bytes(b"x" * 2_500_000)
    assert web.copy_to(tmp_path / "f", "/srv/g") == ()
    assert guest.files == {"/srv/g": b"x" * 2_500_000}
    assert web.copy_from("/srv/g", str(tmp_path / "h")) == ()
    assert (tmp_path / "h").read_bytes() == b"x" * 2_500_000
    finished = [event for event in seen if isinstance(event, StageFinished)]
    assert [(event.stage, event.subject, event.detail) for event in finished] == [
        ("copy to", "web", "2.5 MB"),
        ("copy from", "web", "2.5 MB"),
    ]


def test_several_sources_and_links_to_follow_are_passed_on(lab, tmp_path):
    web, guest = lab
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    web.copy_to([tmp_path / "a", str(tmp_path / "b")], "/srv", follow=True)
    assert guest.files["/srv/a/x"] == b"1"
    assert guest.calls[-1].command == "copy_to /srv follow"
    web.copy_from(["/srv/a", "/srv/a/x"], tmp_path, follow=True)
    assert (tmp_path / "x").read_bytes() == b"1"


def test_what_was_left_out_is_a_warning_and_much_of_it_is_summed_up(lab, seen, tmp_path):
    web, guest = lab
    (tmp_path / "f").touch()
    guest.skipped = tuple(Skipped(path=f"/dev/{n}", reason="a device") for n in range(15))
    assert web.copy_to(tmp_path / "f", "/f") == guest.skipped
    notes = [event for event in seen if isinstance(event, Note)]
    assert len(notes) == 11
    assert notes[0] == Note(message="not copied: '/dev/0': a device", warning=True)
    assert notes[-1].message == "not copied: 5 more"


def test_bad_input_is_told(lab, tmp_path):
    web, _ = lab
    with pytest.raises(LagoError, match="nothing was named"):
        web.copy_to([], "/srv")
    with pytest.raises(LagoError, match="cannot be a path"):
        web.copy_from("", tmp_path)
    with pytest.raises(LagoError, match="cannot be a path"):
        web.copy_to("a\0b", "/srv")
    with pytest.raises(LagoError, match=r"there is no directory '.*/no/' on this machine"):
        web.copy_from("/f", f"{tmp_path}/no/")
    with pytest.raises(PathNotFoundError, match="does not have '/gone'"):
        web.copy_from("/gone", tmp_path)


def test_a_vm_that_is_off_says_so(lab, tmp_path):
    web, _ = lab
    web.stop()
    (tmp_path / "f").touch()
    with pytest.raises(VMNotRunningError):
        web.copy_to(tmp_path / "f", "/f")
    with pytest.raises(VMNotRunningError):
        web.copy_from("/f", tmp_path)
    with pytest.raises(VMNotRunningError):
        web.ssh_lines("true")


def test_progress_has_a_rate_and_is_told_now_and_then(monkeypatch, seen):
    now = [0.0]
    monkeypatch.setattr("lago_sdk.service.guests.copies.time.monotonic", lambda: now[0])
    meter = Meter(seen.append, stage="copy to", subject="web")
    for step in range(1, 101):
        now[0] = step * 0.05
        meter(step * 1000, 100_000)
    assert 20 <= len(seen) <= 30
    assert all(isinstance(event, Progress) for event in seen)
    assert seen[-1].done == seen[-1].total == 100_000
    assert seen[-1].rate == pytest.approx(20_000, rel=0.01)


def test_ssh_takes_files_and_tells_output(lab):
    web, guest = lab
    guest.answer("cat", out="o", err="e")
    heard = []
    result = web.ssh("cat", input=io.BytesIO(b"data"), on_output=lambda *told: heard.append(told))
    assert (result.out, heard) == ("o", [("out", b"o"), ("err", b"e")])
    assert guest.calls[-1].input == b"data"
    assert web.ssh("cat", on_output=lambda *_: None, capture=False).out == ""


def test_ssh_lines(lab):
    web, guest = lab
    guest.answer("tail x", out="a\nb\n", err="bad", code=1)
    lines = web.ssh_lines(["tail", "x"], input="text", timeout=3, env={"A": "1"})
    assert next(lines) == "a"
    assert next(lines) == "b"
    with pytest.raises(CommandError, match="bad"):
        next(lines)
    assert (guest.calls[-1].input, guest.calls[-1].timeout) == (b"text", 3)
    assert list(web.ssh_lines("tail x", check=False)) == ["a", "b"]
