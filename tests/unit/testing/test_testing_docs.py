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


@pytest.fixture(scope="module")
def everything_is_imported(tmp_path_factory):
    """What a run in this process imports is forgotten after it; C extensions do not survive that.

    So a lab that does all that the runs do comes first, before pytester notes what is imported.
    """
    path = tmp_path_factory.mktemp("lab")
    (path / "LagoInitFile").write_text(INIT_FILE)
    with lago_sdk.testing.make_prefix(path / "LagoInitFile", path / "workdir") as lab:
        lab.start()


@pytest.fixture
def suite(everything_is_imported, pytester, monkeypatch):
    """A directory for a test suite."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makefile("", LagoInitFile=INIT_FILE)
    return pytester


def run(suite):
    """Run pytest with our plugin and none of the others that are installed."""
    return suite.runpytest_inprocess(
        "-q", "-p", "no:cacheprovider", "-p", "lago_sdk.testing.plugin"
    )


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
