"""The verbs by which other tools reach the VMs."""

import json

import pytest
from fake_labs import make_lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A prefix on fakes, which is the one that verbs work on."""
    prefix, _ = make_lab(tmp_path)
    monkeypatch.setattr("lago_sdk.Prefix.open", lambda *_, **__: prefix)
    return prefix


@pytest.fixture
def run(lagoctl):
    def run(*words, code=0):
        done = lagoctl(*words)
        assert done.exit_code == code, done.output
        return done

    return run


def test_ssh_config_prints_the_file_of_the_prefix(run, lab):
    assert run("ssh-config").stdout == lab.ssh_config.read_text()
    assert run("ssh-config", "--path").stdout == f"{lab.path / 'ssh_config'}\n"
    one = run("ssh-config", "db", "--relay").stdout
    assert one == lab.render_ssh_config(["db"], relay=True)


def test_ssh_config_of_an_unknown_vm_is_a_mistake(run, lab):
    done = run("ssh-config", "wev", code=2)
    assert "no VM 'wev'" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ((), "ini"),
        (("-f", "default"), "ini"),
        (("-f", "yaml"), "yaml"),
        (("-f", "json"), "json"),
        (("--list",), "json"),
        (("--list", "-f", "yaml"), "json"),
    ],
)
def test_ansible_hosts_in_every_format(run, lab, words, form):
    assert run("ansible-hosts", *words).stdout == lab.ansible_inventory(format=form)


def test_ansible_hosts_by_key_paths_in_lagos_way_and_ours(run, lab):
    wanted = lab.ansible_inventory(["disks/0/type", "vm-type"])
    assert run("ansible-hosts", "-k", "disks/0/type", "vm-type").stdout == wanted
    assert run("ansible-hosts", "-k", "disks/0/type", "-k", "vm-type").stdout == wanted
    assert "did you mean 'vm-type'" in run("ansible-hosts", "-k", "vm-typ", code=2).stderr


def test_ansible_hosts_answers_for_one_host(run, lab):
    told = json.loads(run("ansible-hosts", "--host", "web").stdout)
    assert told["ansible_host"] == lab.vms["web"].ip
    assert "no VM 'wev'" in run("ansible-hosts", "--host", "wev", code=2).stderr


def test_ansible_hosts_bears_the_setting_that_is_called_host(run, lab):
    assert run("--host", "private", "ansible-hosts").stdout == lab.ansible_inventory()
    assert run("ansible-hosts", "--host", "qemu:///system").stdout == lab.ansible_inventory()
