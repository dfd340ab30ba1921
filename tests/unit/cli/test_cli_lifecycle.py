"""The verbs that make prefixes, bring them up and down, and remove them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import lago_sdk
from lago_sdk import NetState, VMNotFoundError


class TestInit:
    def test_without_arguments(self, library, lagoctl, tmp_path):
        assert lagoctl("init").exit_code == 0
        assert library.created[0][:3] == ("LagoInitFile", tmp_path / ".lago", "default")

    def test_a_single_argument_is_the_init_file(self, library, lagoctl, tmp_path):
        lagoctl("init", "my/file.yaml")
        assert library.created[0][:2] == ("my/file.yaml", tmp_path / ".lago")

    def test_two_arguments_are_workdir_and_init_file(self, library, lagoctl, tmp_path):
        lagoctl("init", "lab", "file.yaml", "-P", "nightly")
        assert library.created[0][:3] == ("file.yaml", tmp_path / "lab", "nightly")

    def test_the_option_for_the_workdir_counts(self, library, lagoctl, tmp_path):
        lagoctl("init", "-w", "lab")
        assert library.created[0][1] == tmp_path / "lab"

    def test_two_different_workdirs_are_a_mistake(self, library, lagoctl):
        result = lagoctl("init", "-w", "one", "two", "file")
        assert result.exit_code == 2
        assert "two workdirs are named" in result.stderr
        assert library.created == []

    def test_the_template_store_is_a_setting(self, library, lagoctl):
        lagoctl("init", "--template-store", "/srv/store")
        assert library.created[0][3].template_store == Path("/srv/store")

    def test_set_current(self, library, lagoctl, monkeypatch, tmp_path):
        chosen = []

        class FakeWorkdir:
            @classmethod
            def open(cls, path):
                chosen.append(path)
                return cls()

            def set_current(self, name):
                chosen.append(name)

        monkeypatch.setitem(lago_sdk.__dict__, "Workdir", FakeWorkdir)
        lagoctl("init", "-P", "nightly", "--set-current")
        assert chosen == [tmp_path / ".lago", "nightly"]


class TestUp:
    @pytest.fixture(autouse=True)
    def _spec(self, monkeypatch, tmp_path):
        class FakeSpec:
            @staticmethod
            def load(path):
                return Path(path).read_text()

        monkeypatch.setitem(lago_sdk.__dict__, "PrefixSpec", FakeSpec)
        (tmp_path / "LagoInitFile").write_text("spec")

    def test_makes_starts_and_shows(self, library, lagoctl):
        result = lagoctl("up")
        assert result.exit_code == 0
        assert result.stdout.startswith("[Prefix]:")
        assert "up after 1.5 s: web-1, web-2, db" in result.stderr
        assert [call[0] for call in library.prefixes["default"].calls] == ["start", "status"]

    def test_again_it_changes_nothing_and_says_so(self, library, lagoctl):
        lagoctl("up")
        result = lagoctl("up")
        assert "nothing to do: 3 VMs are running" in result.stderr
        assert len(library.created) == 1

    def test_an_edited_init_file_is_pointed_out(self, library, lagoctl, tmp_path):
        lagoctl("up")
        (tmp_path / "LagoInitFile").write_text("another")
        result = lagoctl("up", "-l", "warning")
        assert "warning: LagoInitFile is not what the prefix 'default' was made from" in (
            result.stderr
        )
        assert len(library.created) == 1

    def test_a_prefix_that_was_cut_off_is_made_anew(self, library, lagoctl):
        library.add().is_complete = False
        lagoctl("up")
        assert len(library.created) == 1

    def test_without_an_init_file_it_starts_what_is_there(self, library, lagoctl, tmp_path):
        (tmp_path / "LagoInitFile").unlink()
        prefix = library.add()
        assert lagoctl("up").exit_code == 0
        assert prefix.calls[0] == ("start", None)

    def test_with_neither_it_says_what_it_needs(self, library, lagoctl, tmp_path):
        (tmp_path / "LagoInitFile").unlink()
        result = lagoctl("up")
        assert result.exit_code == 2
        assert "there is no LagoInitFile here" in result.stderr
        assert "hint: name an init file: lagoctl up INITFILE" in result.stderr

    def test_quiet_leaves_only_the_data(self, library, lagoctl):
        result = lagoctl("up", "-q")
        assert result.stderr == ""
        assert result.stdout.startswith("[Prefix]:")


class TestLifecycle:
    def test_start_names_vms(self, library, lagoctl):
        prefix = library.add()
        result = lagoctl("start", "db")
        assert prefix.calls == [("start", ["db"])]
        assert result.stderr == "started db in 1.5 s\n"
        assert result.stdout == ""

    def test_start_of_what_runs(self, library, lagoctl):
        library.add().running = {"db"}
        assert "nothing to do" in lagoctl("start", "db").stderr

    def test_stop_and_cleanup(self, library, lagoctl):
        prefix = library.add()
        prefix.running = {"db"}
        assert lagoctl("stop").stderr == "stopped db\n"
        assert "nothing to do" in lagoctl("cleanup").stderr
        assert prefix.calls == [("stop", None), ("stop", None)]

    def test_who_does_not_wait(self, library, lagoctl):
        prefix = library.add()
        assert lagoctl("start", "--no-wait", "db").exit_code == 0
        assert prefix.calls == [("start", ["db"], "no wait")]

    def test_shutdown_with_reboot_and_a_timeout(self, library, lagoctl):
        prefix = library.add()
        assert lagoctl("shutdown", "-r", "--timeout", "30", "db").stderr == "rebooted db\n"
        assert prefix.calls == [("shutdown", ["db"], 30, "reboot")]

    @pytest.mark.parametrize(
        ("words", "call", "told"),
        [
            (("db",), (None, True, False), "rebooted db\n"),
            (("--force", "db"), (None, True, True), "rebooted db\n"),
            (("--no-wait", "db"), (None, False, False), "rebooted db\n"),
            (("--timeout", "7", "db"), (7, True, False), "rebooted db\n"),
        ],
    )
    def test_reboot(self, library, lagoctl, words, call, told):
        prefix = library.add()
        assert lagoctl("reboot", *words).stderr == told
        assert prefix.calls == [("reboot", ["db"], *call)]

    def test_suspend_and_resume(self, library, lagoctl):
        prefix = library.add()
        assert lagoctl("suspend", "db").stderr == "suspended db\n"
        assert lagoctl("resume").stderr == "nothing to do: none of them is paused\n"
        assert prefix.calls == [("suspend", ["db"]), ("resume", None)]

    def test_net(self, library, lagoctl):
        prefix = library.add()
        prefix.nets = {"lan": SimpleNamespace(state=NetState.UP)}
        assert lagoctl("net", "lan").stdout == "up\n"
        assert lagoctl("net", "lan", "start").stderr == "started lan\n"
        assert lagoctl("net", "lan", "stop").stderr == "nothing to do: lan is down\n"
        assert prefix.calls == [("start_net", "lan"), ("stop_net", "lan")]

    def test_an_unknown_vm(self, library, lagoctl):
        library.add().error = VMNotFoundError("x", "no VM 'x'", hint="there are: db")
        result = lagoctl("stop", "x")
        assert (result.exit_code, result.stderr) == (2, "error: no VM 'x'\nhint: there are: db\n")


class TestDestroy:
    def test_yes(self, library, lagoctl):
        prefix = library.add()
        assert lagoctl("destroy", "-y").exit_code == 0
        assert prefix.calls == [("destroy",)]

    def test_without_a_terminal_it_needs_yes(self, library, lagoctl):
        prefix = library.add()
        result = lagoctl("destroy")
        assert result.exit_code == 2
        assert "hint: add --yes" in result.stderr
        assert prefix.calls == []

    @pytest.mark.parametrize(("answer", "calls", "code"), [("y", 1, 0), ("n", 0, 1), ("", 0, 1)])
    def test_it_asks_on_a_terminal(self, library, lagoctl, terminal, answer, calls, code):
        prefix = library.add()
        result = lagoctl("destroy", input=f"{answer}\n")
        assert (len(prefix.calls), result.exit_code) == (calls, code)

    def test_all_prefixes(self, library, lagoctl, monkeypatch, tmp_path):
        class FakeWorkdir:
            path = tmp_path
            prefixes = ("a", "b")

            @classmethod
            def find(cls):
                return cls()

            def destroy(self, *, config, observer):
                return self.prefixes

        monkeypatch.setitem(lago_sdk.__dict__, "Workdir", FakeWorkdir)
        result = lagoctl("destroy", "--all-prefixes", "--yes")
        assert result.stderr == "destroyed a, b\n"


class TestWorkdir:
    @pytest.fixture
    def workdir(self, tmp_path):
        for name in ("default", "nightly"):
            folder = tmp_path / ".lago" / name
            folder.mkdir(parents=True)
            (folder / "uuid").write_text("0" * 32)
        (tmp_path / ".lago/current").symlink_to("default")
        return tmp_path / ".lago"

    def test_list(self, workdir, lagoctl, monkeypatch, tmp_path):
        assert lagoctl("list").stdout == "default\nnightly\n"
        assert json.loads(lagoctl("list", "-f", "json").stdout) == ["default", "nightly"]
        assert lagoctl("list", "prefixes").stdout == "default\nnightly\n"
        monkeypatch.chdir("/")
        assert lagoctl("list", str(tmp_path)).stdout == "default\nnightly\n"
        assert lagoctl("list", "-w", str(tmp_path)).stdout == "default\nnightly\n"

    def test_list_marks_the_current_one_on_a_terminal(self, workdir, lagoctl, terminal):
        assert lagoctl("list").stdout == "* default\n  nightly\n"

    def test_set_current(self, workdir, lagoctl):
        assert lagoctl("set-current", "nightly").exit_code == 0
        assert (workdir / "current").readlink() == Path("nightly")

    def test_set_current_to_what_is_not_there(self, workdir, lagoctl):
        result = lagoctl("set-current", "nigthly")
        assert result.exit_code == 2
        assert "hint: did you mean 'nightly'?" in result.stderr

    def test_no_workdir(self, lagoctl):
        result = lagoctl("list")
        assert result.exit_code == 2
        assert isinstance(result.exception, SystemExit)
        assert result.stderr.startswith("error: there is no workdir")
