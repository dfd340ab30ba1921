"""The verbs: what they ask of the library, what they write where, and how they exit."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

import lago_sdk
from lago_sdk import Finding, NetState, Problem, Severity, VMNotFoundError, VMState


def test_status_goes_to_standard_output_and_nothing_else_does(library, lagoctl):
    library.add()
    result = lagoctl("status")
    assert result.exit_code == 0
    assert result.stdout.startswith("[Prefix]:\n    Base directory: ")
    assert result.stderr == ""


@pytest.mark.parametrize("words", [("-f", "json", "status"), ("status", "-f", "json")])
def test_options_stand_before_a_verb_or_after_it(library, lagoctl, words):
    library.add()
    assert json.loads(lagoctl(*words).stdout)["Prefix"]["VMs"]["web"]["status"] == "running"


def test_the_option_after_the_verb_wins(library, lagoctl):
    library.add("a")
    library.add("b")
    lagoctl("-P", "a", "status", "-P", "b")
    assert library.opened[-1][1] == "b"


def test_options_become_settings(library, lagoctl, tmp_path):
    library.add()
    lagoctl("--host", "system", "-w", "lab", "-l", "debug", "--logdepth", "1", "status")
    workdir, name, config = library.opened[-1]
    assert (workdir, name) == (tmp_path / "lab", "current")
    assert (config.host, config.loglevel.value, config.logdepth) == ("system", "debug", 1)


def test_settings_of_a_verb_come_from_its_section(library, lagoctl, tmp_path):
    conf = tmp_path / "config_home/lago/lago.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("[shutdown]\nshutdown_timeout = 7\n")
    prefix = library.add()
    lagoctl("shutdown", "db")
    assert prefix.calls == [("shutdown", ["db"], None)]
    assert library.opened[-1][2].shutdown_timeout == 7


def test_on_a_terminal_status_is_a_table(library, lagoctl, terminal):
    library.add()
    assert lagoctl("status").stdout.startswith("default on private in ")
    assert lagoctl("status", "-f", "default").stdout.startswith("[Prefix]:")


def test_what_stands_still_or_is_unknown_is_told_with_what_to_do(library, lagoctl, terminal):
    prefix = library.add()
    sound = prefix.status()
    (web,) = sound.vms
    paused = evolve(
        web, state=VMState.PAUSED, reason="by user", hint="resume it: lagoctl resume web"
    )
    prefix.status = lambda: evolve(sound, vms=(paused,), problem="no libvirtd", hint="start it")
    result = lagoctl("status")
    assert "paused (by user)" in result.stdout
    assert "warning: no libvirtd (start it)\n" in result.stderr
    assert "warning: web is paused (by user): resume it: lagoctl resume web\n" in result.stderr
    assert result.exit_code == 0
    assert "Problem: no libvirtd" in lagoctl("status", "-f", "default").stdout


def test_a_missing_prefix_is_a_sentence_a_hint_and_2(library, lagoctl):
    result = lagoctl("status")
    assert result.exit_code == 2
    assert result.stderr == "error: there is no prefix 'current'\nhint: make one\n"
    assert result.stdout == ""


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


class TestShell:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["ls", "-l", "/tmp"], "ls -l /tmp"),
            (["-c", "cd /etc && ls"], "cd /etc && ls"),
            (["--", "ping", "-c1", "web"], "ping -c1 web"),
            (["echo $HOME"], "echo $HOME"),
            (["--help"], "--help"),
            (["-f", "json"], "-f json"),
        ],
    )
    def test_words_after_the_vm_are_the_command(self, library, lagoctl, words, line):
        vm = library.add().vms["db"]
        result = lagoctl("shell", "db", *words)
        assert vm.calls == [("ssh", line, None)]
        assert (result.exit_code, result.stdout, result.stderr) == (0, "out\n", "err\n")

    def test_the_guests_code_is_ours(self, library, lagoctl):
        library.add().vms["db"].code = 42
        assert lagoctl("shell", "db", "false").exit_code == 42

    def test_a_file_is_run_as_a_script(self, library, lagoctl, tmp_path):
        (tmp_path / "setup.sh").write_text("true")
        vm = library.add().vms["db"]
        assert lagoctl("shell", "db", "setup.sh").stdout == "script\n"
        assert vm.calls == [("script", "setup.sh")]

    def test_a_file_with_arguments_is_a_command(self, library, lagoctl, tmp_path):
        (tmp_path / "setup.sh").write_text("true")
        vm = library.add().vms["db"]
        lagoctl("shell", "db", "setup.sh", "x")
        assert vm.calls == [("ssh", "setup.sh x", None)]

    def test_without_words_it_is_a_login_shell(self, library, lagoctl, terminal):
        vm = library.add().vms["db"]
        vm.code = 3
        assert lagoctl("shell", "db").exit_code == 3
        assert vm.calls == [("interactive", None)]

    def test_on_a_terminal_a_command_gets_it(self, library, lagoctl, terminal):
        vm = library.add().vms["db"]
        lagoctl("shell", "db", "top")
        assert vm.calls == [("interactive", "top")]

    def test_without_words_and_terminal_standard_input_is_the_script(self, library, lagoctl):
        vm = library.add().vms["db"]
        lagoctl("shell", "db", input="hostname\n")
        assert vm.calls == [("script", "/dev/stdin")]

    def test_standard_input_reaches_a_command_when_asked_for(self, library, lagoctl):
        vm = library.add().vms["db"]
        lagoctl("shell", "-i", "db", "cat", input="data")
        assert vm.calls == [("ssh", "cat", b"data")]

    def test_the_end_of_a_name_will_do(self, library, lagoctl):
        vm = library.add().vms["web-2"]
        lagoctl("shell", "2", "true")
        assert vm.calls == [("ssh", "true", None)]

    def test_an_ambiguous_end_will_not(self, library, lagoctl):
        prefix = library.add()
        prefix.vms["new-db"] = prefix.vms["web-1"]
        prefix.vms["old-db"] = prefix.vms["web-1"]
        assert lagoctl("shell", "db", "true").exit_code == 0
        result = lagoctl("shell", "b", "true")
        assert result.exit_code == 2
        assert "hint: there are: db, new-db, old-db" in result.stderr


class TestValidate:
    @pytest.fixture(autouse=True)
    def _checker(self, monkeypatch, tmp_path):
        def check(path):
            text = Path(path).read_text()
            severities = {"bad": Severity.ERROR, "odd": Severity.WARNING}
            return tuple(
                Problem(
                    message=f"{word} thing",
                    path=("domains", "web", "nics", 0),
                    hint="did you mean 'x'?",
                    severity=severity,
                    code="thing",
                    file=str(path),
                    line=2,
                    column=3,
                )
                for word, severity in severities.items()
                if word in text
            )

        monkeypatch.setitem(lago_sdk.__dict__, "check_init_file", check)
        for name, text in {"good": "x", "bad": "a:\n  bad\n", "odd": "a:\n  odd\n"}.items():
            (tmp_path / name).write_text(text)

    def test_a_good_file(self, lagoctl):
        result = lagoctl("validate", "good")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no problems\n")

    def test_problems_read_like_a_compilers(self, lagoctl):
        result = lagoctl("validate", "bad", "odd")
        assert result.exit_code == 2
        assert result.stdout == (
            "bad:2:3: error: bad thing [domains.web.nics[0]] (did you mean 'x'?)\n"
            "odd:2:3: warning: odd thing [domains.web.nics[0]] (did you mean 'x'?)\n"
        )
        assert result.stderr == "1 error and 1 warning in 2 files\n"

    def test_warnings_pass_unless_strict(self, lagoctl):
        assert lagoctl("validate", "odd").exit_code == 0
        assert lagoctl("validate", "--strict", "odd").exit_code == 2

    def test_on_a_terminal_the_line_is_shown(self, lagoctl, terminal):
        assert "\n    bad\n    ^\n" in lagoctl("validate", "bad").stdout

    def test_as_json(self, lagoctl):
        result = lagoctl("validate", "bad", "-f", "json")
        assert result.exit_code == 2
        assert json.loads(result.stdout) == [
            {
                "file": "bad",
                "line": 2,
                "column": 3,
                "severity": "error",
                "code": "thing",
                "message": "bad thing",
                "path": ["domains", "web", "nics", 0],
                "hint": "did you mean 'x'?",
            }
        ]

    def test_no_problem_is_an_empty_list(self, lagoctl):
        assert json.loads(lagoctl("validate", "good", "-f", "json").stdout) == []


def test_doctor_exits_with_2_when_something_is_in_the_way(lagoctl, monkeypatch):
    found = [Finding(name="qemu", ok=True, message="there")]
    monkeypatch.setitem(lago_sdk.__dict__, "diagnose", lambda *, config: tuple(found))
    assert lagoctl("doctor").stdout == "✓ qemu: there\n"
    assert lagoctl("doctor").exit_code == 0
    found.append(Finding(name="namespaces", ok=False, message="refused", hint="allow them"))
    result = lagoctl("doctor")
    assert result.exit_code == 2
    assert result.stdout.endswith("✗ namespaces: refused\n    hint: allow them\n")
    assert json.loads(lagoctl("doctor", "-f", "json").stdout)[1]["ok"] is False


def test_generated_settings_are_ini(lagoctl):
    result = lagoctl("generate-config", "--host", "system")
    assert "[lago]\n" in result.stdout
    assert "\nhost = system\n" in result.stdout


def test_bad_settings_are_the_users_mistake(library, lagoctl):
    result = lagoctl("status", env={"LAGO_ACCEL": "warp"})
    assert result.exit_code == 2
    assert result.stderr == (
        "error: environment variable LAGO_ACCEL: 'warp' is no value for 'accel'\n"
        "hint: expected one of: auto, kvm, tcg\n"
    )


def test_completion_is_a_script(lagoctl, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert lagoctl("completion").stdout.startswith("#compdef lagoctl")
    assert "complete -o default" in lagoctl("completion", "bash").stdout
    assert lagoctl("completion", "tcsh").exit_code == 2


class TestPlanAndTemplates:
    @pytest.fixture
    def init_file(self, tmp_path):
        path = tmp_path / "lab.yaml"
        path.write_text(
            "domains:\n"
            "  web:\n"
            "    nics: [{net: lan}]\n"
            "    disks: [{type: empty, size: 1G, name: data, dev: vda}]\n"
            "nets:\n"
            "  lan: {type: nat, dhcp: {start: 100, end: 254}, gw: 192.168.210.1}\n"
        )
        return path

    def test_a_plan_is_tables(self, lagoctl, init_file, tmp_path):
        result = lagoctl("plan", str(init_file))
        assert result.exit_code == 0
        assert "192.168.210.0/24  192.168.210.1" in result.stdout
        assert "192.168.210.2" in result.stdout
        assert "54:52:c0:a8:d2:02" in result.stdout
        assert "images/web_data.qcow2" in result.stdout
        assert sorted(tmp_path.iterdir()) == [init_file]

    def test_a_plan_is_data(self, lagoctl, init_file):
        data = json.loads(lagoctl("plan", str(init_file), "-f", "json").stdout)
        assert data["vms"]["web"]["nics"][0]["mac"] == "54:52:c0:a8:d2:02"
        assert data["nets"]["lan"]["gateway"] == "192.168.210.1"

    def test_a_missing_init_file_is_the_users_mistake(self, lagoctl):
        result = lagoctl("plan", "nowhere.yaml")
        assert result.exit_code == 2
        assert "nowhere.yaml" in result.stderr
        assert "Traceback" not in result.stderr
