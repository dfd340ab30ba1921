"""The journal tells which steps were cut off."""

import json

import pytest

from lago_sdk.service.journal import Journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_a_finished_step_is_not_open(path):
    with Journal(path).step("start", "web"):
        pass
    assert Journal(path).list_open() == ()


def test_a_failed_step_is_not_open_because_it_was_seen_to_fail(path):
    with pytest.raises(ValueError, match="boom"), Journal(path).step("start", "web"):
        raise ValueError("boom")
    assert Journal(path).list_open() == ()
    assert json.loads(path.read_text().splitlines()[-1])["end"] == "failed"


def test_the_intent_is_on_disk_before_the_step_acts(path):
    with Journal(path).step("create disk", "web/root"):
        (intent,) = Journal(path).list_open()
    assert (intent.step, intent.subject) == ("create disk", "web/root")


def test_steps_of_several_processes_do_not_close_each_other(path):
    first, second = Journal(path), Journal(path)
    with first.step("start", "web"):
        with second.step("start", "db"):
            pass
        assert [intent.subject for intent in Journal(path).list_open()] == ["web"]


def test_a_line_that_was_cut_off_is_ignored(path):
    with Journal(path).step("start", "web"):
        path.write_text(path.read_text() + '{"id": 3, "be')
        assert [intent.subject for intent in Journal(path).list_open()] == ["web"]


def test_a_step_may_remove_the_prefix_itself(tmp_path):
    home = tmp_path / "prefix"
    home.mkdir()
    journal = Journal(home / "journal.jsonl")
    with journal.step("remove files"):
        (home / "journal.jsonl").unlink()
        home.rmdir()
    assert not home.exists()


def test_clear_forgets(path):
    journal = Journal(path)
    with journal.step("start"):
        journal.clear()
        assert journal.list_open() == ()
