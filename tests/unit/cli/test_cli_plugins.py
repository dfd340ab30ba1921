"""What plugins add to the command line, by packages that lie in a directory."""

import os
import subprocess
import sys

import pytest

PLUGIN = '''
import typer

app = typer.Typer()


@app.command()
def first(name: str):
    """Greet."""
    print("hello", name)


@app.command()
def second():
    """Fail."""
    from lago_sdk import LagoError

    raise LagoError("it is too late", hint="try tomorrow")


def hail(session, word: str = "ave"):
    """Hail somebody."""
    session.write({"word": word}, word.upper())


def bare():
    pass


def shout(data):
    return repr(data).upper()


def bad(data):
    return 7
'''
ENTRY_POINTS = """
[lago_sdk.commands]
greet = added:app
hail = added:hail
bare = added:bare
gone = nowhere_at_all:x
status = added:hail

[lago_sdk.outputs]
shout = added:shout
bad = added:bad

[lago_sdk.vm_types]
fine = added:shout

[lago_sdk.service_providers]
mine = added:shout

[lago_sdk.vm_providers]
cloud = added:shout
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    metadata = directory / "added-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (directory / "added.py").write_text(PLUGIN)
    return directory


@pytest.fixture
def lagoctl(site, tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "lago_cli", *words],
            env={**os.environ, "PYTHONPATH": str(site), "LAGO_STATE_DIR": str(tmp_path / "state")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_help_names_verbs_without_importing_them(lagoctl):
    done = lagoctl("--help")
    assert "Verbs of plugins:\n  greet  See lagoctl greet --help." in done.stdout
    assert "  status  " not in done.stdout.partition("Verbs of plugins:")[2]
    assert done.stderr == (
        "warning: the plugin 'status' (command, of added 1.0): it is left out: "
        "the name is the library's own\n"
    )


def test_a_function_is_a_verb_like_ours(lagoctl):
    assert lagoctl("hail").stdout == "AVE\n"
    assert lagoctl("-f", "flat", "hail", "--word", "salve").stdout == "word: salve\n"
    assert lagoctl("hail", "-f", "shout").stdout == "{'WORD': 'AVE'}\n"
    assert "Hail somebody." in lagoctl("hail", "--help").stdout


def test_a_typer_app_is_a_family_whose_errors_are_told(lagoctl):
    assert lagoctl("greet", "first", "ann").stdout == "hello ann\n"
    done = lagoctl("greet", "second")
    assert (done.returncode, done.stderr) == (2, "error: it is too late\nhint: try tomorrow\n")


@pytest.mark.parametrize(
    ("verb", "problem"),
    [
        ("gone", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("bare", "takes no session, which is its first argument"),
    ],
)
def test_a_broken_verb_is_told_and_the_others_work(lagoctl, verb, problem):
    done = lagoctl(verb)
    assert done.returncode == 2
    assert f"warning: the plugin '{verb}' (command, of added 1.0): it is left out: " in done.stderr
    assert problem in done.stderr
    assert "No such command" in done.stderr


def test_a_format_that_does_not_work_is_told(lagoctl, tmp_path):
    done = lagoctl("-f", "bad", "hail")
    assert done.returncode == 2
    assert "TypeError: it made no text, but int" in done.stderr
    assert "error: the plugin of the output format 'bad' does not work\n" in done.stderr
    assert "Traceback" in (tmp_path / "state" / "plugin-output-bad.log").read_text()
    assert "Traceback" in lagoctl("-l", "debug", "-f", "bad", "hail").stderr


def test_an_unknown_format_is_told_before_anything_is_done(lagoctl):
    done = lagoctl("-f", "xml", "hail")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: there are: default, json, yaml, flat, shout, bad\n" in done.stderr


def test_validate_knows_their_words(lagoctl, tmp_path):
    text = "nets: {{lan: {{}}}}\ndomains: {{web: {{vm-provider: {provider}, {more}}}}}\n"
    file = tmp_path / "LagoInitFile"
    file.write_text(text.format(provider="cloud", more="service_provider: mine"))
    assert lagoctl("validate", "--strict").returncode == 0
    file.write_text(text.format(provider="clowd", more="service_provider: mind"))
    done = lagoctl("validate")
    assert done.returncode == 2
    assert "error: 'clowd' is no vm-provider that comes with the library or a plugin" in done.stdout
    assert "did you mean 'cloud'?" in done.stdout
    assert "warning: 'mind' is no service_provider that comes with" in done.stdout


def test_doctor_lists_them_with_what_is_wrong(lagoctl):
    lines = lagoctl("doctor").stdout.splitlines()
    found = {line.split(":")[0][2:]: line for line in lines if " plugin " in line}
    assert found["plugin hail"].endswith("command of added 1.0")
    assert "No module named 'nowhere_at_all'" in found["plugin gone"]
    assert "the name is the library's own" in found["plugin status"]
    assert found["plugin shout"].endswith("output of added 1.0")
