"""The line that tells how far long work has come, and sizes and durations."""

import pytest

from lago_cli.bar import Bars
from lago_cli.progress import ProgressLines
from lago_cli.units import format_duration, format_size, parse_duration, parse_size
from lago_sdk import LagoError, Note, Progress, StageFailed, StageFinished

MIB = 1 << 20


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


def progress(done, total=100 * MIB, subject="base", rate=None):
    return Progress(stage="fetch", subject=subject, done=done, total=total, rate=rate)


class TestBars:
    def test_rate_and_time_left_are_those_of_the_last_seconds(self, clock):
        bars = Bars(clock)
        for second in range(11):
            clock.now = float(second)
            slow = second <= 5
            bars.note(progress(second * MIB if slow else (5 + (second - 5) * 10) * MIB))
        assert bars.text(100) == "fetch base  55 %  55 MiB of 100 MiB  10 MiB/s  0:04 left"

    def test_what_was_resumed_does_not_count_as_fast(self, clock):
        bars = Bars(clock)
        bars.note(progress(50 * MIB))
        clock.now = 1.0
        bars.note(progress(51 * MIB))
        assert "1.0 MiB/s" in bars.text(100)

    def test_a_rate_that_is_told_is_believed(self, clock):
        bars = Bars(clock)
        bars.note(progress(50 * MIB, rate=5.0 * MIB))
        assert bars.text(100).endswith("5.0 MiB/s  0:10 left")

    def test_without_a_total_there_is_no_time_left(self, clock):
        bars = Bars(clock)
        bars.note(progress(MIB, total=None))
        clock.now = 1.0
        bars.note(progress(3 * MIB, total=None))
        assert bars.text(100) == "fetch base  3.0 MiB  2.0 MiB/s"

    def test_what_begins_anew_has_a_new_rate(self, clock):
        bars = Bars(clock)
        bars.note(progress(50 * MIB))
        clock.now = 1.0
        bars.note(progress(0))
        assert bars.text(100) == "fetch base  0 %  0 B of 100 MiB"

    def test_several_at_once_are_short(self, clock):
        bars = Bars(clock)
        bars.note(progress(10 * MIB, subject="a"))
        bars.note(progress(20 * MIB, subject="b"))
        assert bars.text(100) == "a 10 %  b 20 %"
        assert bars.text(8) == "a 10 %  …"[:7] + "…"

    def test_what_is_done_is_forgotten(self, clock):
        bars = Bars(clock)
        bars.note(progress(10 * MIB))
        bars.note(progress(100 * MIB))
        assert bars.text(100) == ""
        bars.note(progress(10 * MIB))
        assert bars.drop("fetch", "base")
        assert not bars.drop("fetch", "base")
        assert bars.text(100) == ""


class TestLines:
    @pytest.fixture
    def screen(self, capsys, monkeypatch):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True)

    def test_a_pipe_is_left_alone(self, capsys):
        lines = ProgressLines()
        lines(progress(10 * MIB))
        lines.end_progress()
        assert capsys.readouterr() == ("", "")

    def test_a_line_is_written_over_and_taken_away_at_the_end(self, capsys, screen):
        lines = ProgressLines()
        lines(progress(10 * MIB))
        assert capsys.readouterr().err == "\r\x1b[2Kfetch base  10 %  10 MiB of 100 MiB"
        lines(StageFinished(stage="fetch", subject="base", seconds=1))
        assert capsys.readouterr().err == "\r\x1b[2K[ok] fetch base (1.00 s)\n"
        lines.say("after")
        assert capsys.readouterr().err == "after\n"

    def test_it_is_not_drawn_more_often_than_people_read(self, capsys, screen):
        lines = ProgressLines()
        for done in range(50):
            lines(progress(done * MIB))
        assert 1 <= capsys.readouterr().err.count("\r") < 50

    def test_other_lines_go_above_it(self, capsys, screen):
        lines = ProgressLines()
        lines(progress(10 * MIB))
        capsys.readouterr()
        lines(Note(message="note"))
        bar = "fetch base  10 %  10 MiB of 100 MiB"
        assert capsys.readouterr().err == f"\r\x1b[2Knote: note\n\r\x1b[2K{bar}"

    def test_a_failure_and_the_end_take_it_away(self, capsys, screen):
        lines = ProgressLines()
        lines(progress(10 * MIB))
        lines(StageFailed(stage="fetch", subject="base", seconds=1, error=ValueError()))
        assert capsys.readouterr().err.endswith("\r\x1b[2K[!!] fetch base failed after 1.00 s\n")
        lines = ProgressLines()
        lines(progress(10 * MIB))
        capsys.readouterr()
        lines.end_progress()
        assert capsys.readouterr().err == "\r\x1b[2K"

    @pytest.mark.parametrize("level", ["warning", "error"])
    def test_quiet_is_quiet(self, capsys, screen, level):
        ProgressLines(level=level)(progress(10 * MIB))
        assert capsys.readouterr().err == ""

    def test_a_dumb_terminal_is_left_alone(self, capsys, screen, monkeypatch):
        monkeypatch.setenv("TERM", "dumb")
        ProgressLines()(progress(10 * MIB))
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (270 * MIB, "270 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_sizes_are_short(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (61, "1:01"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_durations_are_those_of_a_clock(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("20G", 20 << 30),
        ("1.5t", 3 << 39),
        ("5 MiB", 5 * MIB),
        ("1kB", 1024),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90m", 5400), ("30d", 2592000), ("1.5h", 5400), ("2W", 1209600)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "G", "-1G", "1X", "1e3", "30"])
def test_nonsense_is_refused_with_a_hint(text):
    with pytest.raises(LagoError) as caught:
        parse_duration(text)
    assert "30d" in caught.value.hint
    if text != "30":
        with pytest.raises(LagoError) as caught:
            parse_size(text)
        assert "20G" in caught.value.hint
