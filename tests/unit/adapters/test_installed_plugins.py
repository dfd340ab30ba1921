"""Plugins of packages that lie in a directory: found, imported late, and left out when broken."""

import subprocess
import sys

import pytest

from lago_sdk.adapters import plugins
from lago_sdk.adapters.plugins import InstalledPlugins, has_plugins
from lago_sdk.ports import PluginKind
from lago_sdk.service.plugged.shapes import accept, accept_callable
from lago_sdk.testing.world import EventLog


def install(directory, package, module, entry_points):
    """Put a package there as pip would: a module and the metadata beside it."""
    metadata = directory / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    (directory / f"{package.replace('-', '_')}.py").write_text(module)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory that Python looks into."""
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(directory)
    yield directory
    for name in [name for name, module in sys.modules.items() if _is_in(module, directory)]:
        del sys.modules[name]


def _is_in(module, directory):
    return (getattr(module, "__file__", None) or "").startswith(str(directory))


@pytest.fixture
def log():
    return EventLog()


@pytest.fixture
def installed(tmp_path, log):
    return InstalledPlugins(log_dir=tmp_path / "state", observer=log)


GOOD = "[lago_sdk.outputs]\nshout = good:shout\n"


def test_without_any_nobody_has_to_look_further(installed, monkeypatch):
    monkeypatch.setattr(plugins, "_has_plugins", lambda path: False)
    assert installed.list_names(PluginKind.OUTPUT) == ()
    assert installed.find(PluginKind.OUTPUT, "shout", accept_callable) is None


def test_a_plugin_is_imported_when_it_is_asked_for(site, installed, log):
    install(site, "good", "def shout(data):\n    return str(data).upper()\n", GOOD)
    assert has_plugins()
    assert installed.list_names(PluginKind.OUTPUT) == ("shout",)
    assert "good" not in sys.modules
    found = installed.find(PluginKind.OUTPUT, "shout", accept_callable)
    assert found("hi") == "HI"
    assert installed.find(PluginKind.OUTPUT, "whisper", accept_callable) is None
    assert log.events == []


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1/0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("shout = 7", "TypeError: 7 cannot be called"),
        ("shout = ", "SyntaxError: invalid syntax"),
        ("", "AttributeError: module 'good' has no attribute 'shout'"),
    ],
)
def test_one_that_fails_is_one_warning_and_a_traceback(
    site, installed, log, tmp_path, module, problem
):
    install(site, "good", module, GOOD)
    for _ in range(2):
        assert installed.find(PluginKind.OUTPUT, "shout", accept_callable) is None
    (warning,) = log.warnings
    path = tmp_path / "state" / "plugin-output-shout.log"
    assert warning == (
        f"the plugin 'shout' (output, of good 1.0): it is left out: {problem}; "
        f"the traceback is in {path}"
    )
    assert "Traceback" in path.read_text()
    assert "Traceback" in log.events[0].detail


def test_what_cannot_be_written_down_is_told_all_the_same(site, log, tmp_path):
    (tmp_path / "file").write_text("")
    installed = InstalledPlugins(log_dir=tmp_path / "file" / "state", observer=log)
    install(site, "good", "1/0", GOOD)
    assert installed.find(PluginKind.OUTPUT, "shout", accept_callable) is None
    assert log.warnings[0].endswith("ZeroDivisionError: division by zero")


def test_names_of_the_library_cannot_be_taken(site, installed, log):
    install(site, "good", "def shout(data): ...", "[lago_sdk.outputs]\njson = good:shout\n")
    assert installed.list_names(PluginKind.OUTPUT) == ()
    assert installed.find(PluginKind.OUTPUT, "json", accept_callable) is None
    told = "the plugin 'json' (output, of good 1.0): it is left out: the name is the library's own"
    assert log.warnings == (told,)


def test_verbs_of_the_program_cannot_be_taken(site, installed, log):
    install(
        site, "good", "def up(session): ...", "[lago_sdk.commands]\nup = good:up\nx = good:up\n"
    )
    assert installed.list_names(PluginKind.COMMAND, taken=("up", "status")) == ("x",)
    assert len(log.warnings) == 1


def test_of_two_with_one_name_the_first_counts(site, installed, log):
    install(site, "good", "def shout(data): return 'good'", GOOD)
    install(site, "other", "def shout(data): return 'other'", GOOD.replace("good:", "other:"))
    found = installed.find(PluginKind.OUTPUT, "shout", accept_callable)
    (warning,) = log.warnings
    loser = "other" if found(None) == "good" else "good"
    winner = {"other": "good", "good": "other"}[loser]
    assert f"of {loser} 1.0): it is left out: {winner} 1.0 has one of that name" in warning


def test_all_of_them_are_listed_with_what_is_wrong(site, installed):
    points = "[lago_sdk.outputs]\nshout = good:shout\nyaml = good:shout\n"
    points += "[lago_sdk.vm_providers]\ncloud = good:Cloud\n"
    install(site, "good", "def shout(data): ...\nclass Cloud:\n  name = 'cloud'\n", points)
    found = {info.name: info.problem for info in installed.list_all(accept)}
    assert found["shout"] == ""
    assert found["yaml"] == "it is left out: the name is the library's own"
    assert "lacks: has_power, find_address, find_state" in found["cloud"]
    assert {info.package for info in installed.list_all(accept)} >= {"good 1.0"}


def test_to_import_the_library_reads_no_entry_points():
    code = "import sys\nfrom lago_sdk import Prefix\nprint('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
