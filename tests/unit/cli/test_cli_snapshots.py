"""``lagoctl snapshot`` and ``revert`` on a prefix of fakes."""

import json

import pytest
from fake_labs import make_lab
from typer.testing import CliRunner

from lago_cli.app import build_app
from lago_sdk import Prefix


@pytest.fixture
def lab(tmp_path, monkeypatch):
    prefix, _ = make_lab(tmp_path)
    prefix.start()
    monkeypatch.setattr(Prefix, "open", lambda *_, **__: prefix)
    return prefix


def run(*words, code=0):
    done = CliRunner().invoke(build_app(), words, prog_name="lagoctl")
    assert done.exit_code == code, done.output
    return done


def test_made_listed_reverted_and_deleted(lab):
    done = run("snapshot", "clean")
    assert "kept web, db as clean: 2.0 MiB, the VMs stood still for" in done.stderr
    run("snapshot", "later", "web")
    lines = run("snapshot", "-l", "-f", "default").stdout.splitlines()
    assert "[web]:" in lines
    found = json.loads(run("snapshot", "--list", "-f", "json").stdout)
    assert found["web"]["later"]["parent"] == "clean"
    assert found["db"].keys() == {"clean"}
    assert "reverted web, db to clean in" in run("revert", "clean").stderr
    assert "nothing to do" in run("revert", "clean", "--if-dirty").stderr
    assert "deleted clean of web, db" in run("snapshot", "--delete", "clean").stderr
    assert set(lab.snapshots) == {"later"}


def test_a_tree_for_people(lab):
    from lago_cli.commands.snapshots import _snapshots_table

    assert _snapshots_table(lab) == "no snapshots"
    for name in ("a", "b"):
        lab.create_snapshots(name)
    lab.revert_snapshots("a")
    lab.create_snapshots("c", "web")
    names = [line.split("memory")[0].rstrip() for line in _snapshots_table(lab).splitlines()[1:]]
    assert names == ["a", "  b", "  c"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["snapshot"], "needs a name"),
        (["snapshot", "no good"], "cannot be the name of a snapshot"),
        (["snapshot", "clean", "wbe"], "did you mean 'web'"),
        (["revert", "clean"], "there is no snapshot 'clean'"),
        (["snapshot", "--delete", "clean"], "there is no snapshot 'clean'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(lab, words, said):
    done = run(*words, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.output


def test_the_log_level_is_called_as_everywhere_before_the_verb(lab):
    run("-l", "error", "snapshot", "clean")
    assert "clean" in lab.snapshots
