"""Events as lines on standard error."""

import pytest

from lago_cli.progress import ProgressLines
from lago_sdk import Note, StageFailed, StageFinished, StageStarted


def _play(lines, depth=1):
    for level in range(depth):
        lines(StageStarted(stage=f"stage {level}", subject="web"))
    for level in reversed(range(depth)):
        lines(StageFinished(stage=f"stage {level}", subject="web", seconds=0.123))


def test_a_stage_is_a_line_when_it_ends(capsys):
    lines = ProgressLines()
    lines(StageStarted(stage="create disks"))
    assert capsys.readouterr() == ("", "")
    lines(StageFinished(stage="create disks", seconds=0.123, detail="2 overlays"))
    assert capsys.readouterr() == ("", "[ok] create disks: 2 overlays (0.12 s)\n")


def test_a_failure_is_a_line(capsys):
    lines = ProgressLines()
    lines(StageStarted(stage="start", subject="web"))
    lines(StageFailed(stage="start", subject="web", seconds=3, error=ValueError()))
    assert capsys.readouterr().err == "[!!] start web failed after 3.00 s\n"


def test_depth_hides_what_is_nested_deeper(capsys):
    _play(ProgressLines(depth=2), depth=3)
    assert capsys.readouterr().err == "[ok] stage 1 web (0.12 s)\n[ok] stage 0 web (0.12 s)\n"


def test_without_a_depth_everything_is_shown(capsys):
    _play(ProgressLines(depth=-1), depth=5)
    assert capsys.readouterr().err.count("[ok]") == 5


def test_debug_shows_beginnings(capsys):
    _play(ProgressLines(level="debug"))
    assert capsys.readouterr().err == "[..] stage 0 web\n[ok] stage 0 web (0.12 s)\n"


def test_notes_are_told_once(capsys):
    lines = ProgressLines()
    for _ in range(2):
        lines(Note(message="no KVM here"))
        lines(Note(message="odd", warning=True))
    assert capsys.readouterr().err == "note: no KVM here\nwarning: odd\n"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("debug", "[..] a\nnote: n\nwarning: w\n[!!] a failed after 1.00 s\nsaid\n"),
        ("info", "note: n\nwarning: w\n[!!] a failed after 1.00 s\nsaid\n"),
        ("warning", "warning: w\n[!!] a failed after 1.00 s\n"),
        ("error", "[!!] a failed after 1.00 s\n"),
    ],
)
def test_levels(capsys, level, text):
    lines = ProgressLines(level=level)
    lines(StageStarted(stage="a"))
    lines(Note(message="n"))
    lines(Note(message="w", warning=True))
    lines(StageFailed(stage="a", seconds=1, error=ValueError()))
    lines.say("said")
    assert capsys.readouterr().err == text
