"""Deploy scripts on fakes: order, output as it comes, logs, and failures."""

import pytest
from fake_labs import lab_spec, make_lab, vm

from lago_sdk import CommandResult, DeployError, Output, VMNotFoundError, VMNotRunningError

SHELL = "sh -s --"


@pytest.fixture
def scripts(tmp_path):
    """Three scripts by name."""
    directory = tmp_path / "scripts"
    directory.mkdir()
    for name in ("one", "two", "three"):
        (directory / name).write_text(f"#!/bin/sh\necho {name}\n")
    return directory


def spec_of(scripts, **names):
    domains = {
        name: vm(metadata={"deploy-scripts": [str(scripts / script) for script in of_vm]})
        for name, of_vm in names.items()
    }
    return lab_spec(**domains)


def answer(world, name, replies):
    """Let the guest answer each script by what *replies* says, ``(code, out, err)`` by content."""

    def reply(call):
        word = call.input.split()[-1].decode()
        code, out, err = replies.get(word, (0, f"{word} done\n", ""))
        return CommandResult(command=call.command, code=code, out=out, err=err)

    for command in (SHELL, "/bin/sh -s --"):
        world.guests[name].answer_with(command, reply)


def test_scripts_run_in_order_and_only_where_there_are_some(tmp_path, scripts):
    prefix, world = make_lab(tmp_path, spec_of(scripts, web=["two", "one"], db=[]))
    prefix.start()
    answer(world, "web", {})
    report = prefix.deploy()
    inputs = [call.input for call in world.guests["web"].calls if call.input]
    assert [text.split()[-1] for text in inputs] == [b"two", b"one"]
    assert not any(call.input for call in world.guests["db"].calls)
    assert list(report.runs) == ["web"]
    assert [run.script for run in report.runs["web"]] == [
        str(scripts / "two"),
        str(scripts / "one"),
    ]


def test_output_is_told_by_line_and_kept(tmp_path, scripts):
    prefix, world = make_lab(tmp_path, spec_of(scripts, web=["one"]))
    prefix.start()
    answer(world, "web", {"one": (0, "first\nsecond", "odd\n")})
    report = prefix.deploy("web")
    told = [(e.subject, e.line, e.is_error) for e in world.observe.events if isinstance(e, Output)]
    assert sorted(told) == [
        ("web", "first", False),
        ("web", "odd", True),
        ("web", "second", False),
    ]
    log = report.logs["web"].read_text()
    assert report.logs["web"] == prefix.path / "logs" / "web.deploy.log"
    assert "first\nsecond" in log
    assert "odd" in log
    assert log.endswith("== exit code 0\n")


def test_the_first_failure_ends_its_vm_and_the_others_go_on(tmp_path, scripts):
    names = ["one", "two", "three"]
    prefix, world = make_lab(tmp_path, spec_of(scripts, web=names, db=names))
    prefix.start()
    answer(world, "web", {"two": (7, "", "no such package\n")})
    answer(world, "db", {})
    with pytest.raises(DeployError) as caught:
        prefix.deploy()
    error = caught.value
    assert (error.vm, error.script, error.code) == ("web", str(scripts / "two"), 7)
    assert "no such package" in error.output
    assert "no such package" in error.hint
    assert str(error.log) in error.hint
    assert "three" not in error.log.read_text()
    assert sum(bool(call.input) for call in world.guests["db"].calls) == 3


def test_all_failures_are_told(tmp_path, scripts):
    prefix, world = make_lab(tmp_path, spec_of(scripts, web=["one"], db=["one"]))
    prefix.start()
    for name in ("web", "db"):
        answer(world, name, {"one": (1, "", "")})
    with pytest.raises(ExceptionGroup) as caught:
        prefix.deploy()
    assert {error.vm for error in caught.value.exceptions} == {"web", "db"}
    assert all("wrote nothing" in error.hint for error in caught.value.exceptions)


def test_a_stopped_vm_is_told_before_anything_runs(tmp_path, scripts):
    prefix, world = make_lab(tmp_path, spec_of(scripts, web=["one"], db=["one"]))
    prefix.start("web")
    answer(world, "web", {})
    with pytest.raises(VMNotRunningError, match="'db' cannot be deployed: it is down") as caught:
        prefix.deploy()
    assert caught.value.hint == "start it: lagoctl start db"
    assert not any(call.input for call in world.guests["web"].calls)
    with pytest.raises(VMNotFoundError):
        prefix.deploy("wbe")
