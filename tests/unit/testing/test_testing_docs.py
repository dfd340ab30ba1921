"""The document for testers: its tables name what there is, and its examples run."""

import re
from pathlib import Path

import pytest

import lago_sdk.testing

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).parents[3] / "docs" / "testing.md"
TEXT = DOCUMENT.read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
INIT_FILE = """\
domains:
  web: &vm
    memory: 64
    nics: [{net: lan}]
    disks: [{type: template, template_name: tiny}]
  db: *vm
nets: {lan: {}}
"""


@pytest.fixture
def suite(pytester):
    """A directory for a test suite.

    Modules that a run imports first are forgotten after it, which C extensions do not survive:
    whatever the runs need is imported by a lab before.
    """
    pytester.makefile("", LagoInitFile=INIT_FILE)
    with lago_sdk.testing.make_prefix(pytester.path / "LagoInitFile", pytester.path / "w") as lab:
        lab.start()
    return pytester


def run(suite):
    """Run pytest with our plugin, by its module: the entry point may not be installed yet."""
    ours = ["-p", "no:lago", "-p", "lago_sdk.testing.plugin"]
    return suite.runpytest_inprocess("-q", "-p", "no:cacheprovider", *ours)


def test_the_examples_on_fakes_pass(suite):
    _plugin, helper, failure, override = BLOCKS
    suite.makeconftest(override)
    suite.makepyfile(helper + "\n\n" + failure)
    result = run(suite)
    result.assert_outcomes(passed=2)


def test_tests_for_the_plugin_run_on_fakes(suite):
    """The guest lacks ping, which is what the test that came through tells."""
    plugin, _, _, override = BLOCKS
    suite.makeconftest(override)
    suite.makepyfile(plugin)
    result = run(suite)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'ping -c1 db' exited with 127*"])


def test_the_init_file_can_be_set_for_all_modules(suite):
    suite.makefile("", Other=INIT_FILE)
    suite.makeini("[pytest]\nlago_init_file = Other\n")
    suite.makepyfile("def test(lago_init_file): assert lago_init_file.name == 'Other'")
    run(suite).assert_outcomes(passed=1)


def test_the_table_names_what_the_fakes_have():
    world = lago_sdk.testing.make_world()
    parts = re.findall(r"^\| `world\.(\w+)(?:\[.*?\])?` \|(.*)\|(.*)\|$", TEXT, re.MULTILINE)
    assert len(parts) == 10
    for name, arrange, look in parts:
        part = getattr(world, name)
        if name in {"guests", "builders"}:
            part = part["web" if name == "guests" else "virt-customize"]
        for attribute in re.findall(r"`(\w+)(?:\(|`)", arrange + look):
            assert hasattr(part, attribute) or hasattr(lago_sdk.testing, attribute), attribute
