"""The help of every verb, and what the program costs before it does anything."""

import subprocess
import sys

import pytest

from lago_cli.app import _FAMILIES, _HOMES, _load_family
from lago_cli.options import Format, LogLevel
from lago_sdk import config

TEMPLATE_VERBS = [
    *("build", "export", "fetch", "gc", "import", "info"),
    *("list", "outdated", "rm", "verify"),
]
VERBS = [*_HOMES, *(f"template {verb}" for verb in TEMPLATE_VERBS)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_summary_and_an_example(lagoctl, verb):
    result = lagoctl(*verb.split(), "--help")
    assert result.exit_code == 0
    summary = result.stdout.split("\n\n")[1].strip()
    assert summary.endswith(".")
    assert len(summary) <= 60
    if verb not in {"cache", "template"}:
        assert f"  Examples:\n    {'eval' if verb == 'completion' else f'lagoctl {verb}'}" in (
            result.stdout
        )
        assert "--format" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_and_argument_says_what_it_does(verb):
    command = _load_family(_HOMES[verb.split()[0]])[verb.split()[0]]
    if " " in verb:
        command = command.commands[verb.split()[1]]
    for parameter in command.params:
        assert parameter.help, parameter.name


def test_every_verb_of_templates_is_looked_at():
    assert sorted(_load_family("template")["template"].commands) == TEMPLATE_VERBS


def test_the_list_of_verbs_tells_what_their_own_help_tells(lagoctl):
    text = lagoctl("--help").stdout
    for module, verbs in _FAMILIES.items():
        for verb, summary in verbs.items():
            assert f"  {verb:15}  {summary}\n" in text
            assert _load_family(module)[verb].help.splitlines()[0] == summary


def test_h_is_help_and_so_is_nothing(lagoctl):
    assert lagoctl("-h").stdout == lagoctl("--help").stdout
    assert "Verbs:" in lagoctl().output


def test_version(lagoctl):
    from importlib.metadata import version

    assert lagoctl("--version").stdout == f"lagoctl {version('lago_sdk')}\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["statsu"], "Did you mean 'status'"),
        (["status", "--no-such"], "No such option: --no-such"),
        (["-f", "xml", "status"], "xml"),
        (["shell"], "VM"),
    ],
)
def test_a_wrong_command_line_is_2_and_says_why(lagoctl, words, text):
    result = lagoctl(*words)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_choices_are_those_of_the_settings():
    assert [item.value for item in Format] == [item.value for item in config.OutFormat]
    assert [item.value for item in LogLevel] == [item.value for item in config.LogLevel]


def test_help_imports_little_of_the_library_and_nothing_heavy():
    code = (
        "import sys\n"
        "sys.argv = ['lagoctl', '--help']\n"
        "from lago_cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    assert "lago_cli.app" in modules
    heavy = {"rich", "attr", "libvirt", "paramiko", "ruamel.yaml", "pydantic", "importlib.metadata"}
    assert modules & heavy == set()
    ours = {name for name in modules if name.startswith("lago_sdk")}
    assert ours == {"lago_sdk", "lago_sdk.adapters", "lago_sdk.adapters.plugins"}
    assert not [name for name in modules if name.startswith("lago_cli.commands.")]


def test_a_shell_can_ask_how_a_word_goes_on():
    import os

    env = {**os.environ, "_LAGOCTL_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lago_cli"],
        env={**env, "COMP_WORDS": "lagoctl st"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["start", "stop", "status"]
