"""The verbs: what they ask of the library, what they write where, and how they exit."""

import json

import pytest
from attrs import evolve

import lago_sdk
from lago_sdk import Finding, VMState


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
