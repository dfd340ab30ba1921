"""The text of an ``ssh_config``, as OpenSSH itself and paramiko understand it."""

import subprocess

import paramiko
import pytest

from lago_sdk.errors import LagoError
from lago_sdk.render.ssh_config import SSHHost, render_ssh_config

PATHS = [
    "/lab",
    "/my lab",
    "/100%",
    "/%h",
    "/it's",
    '/a "b"',
    "/back\\slash",
    "/a#b",
    "/$HOME",
    "/ü",
]


def make_host(**changes):
    given = {
        "aliases": ("web", "web.lab.test", "192.168.200.2"),
        "address": "192.168.200.2",
        "user": "root",
        "key_path": "/lab/id_ed25519",
        "known_hosts": "/lab/known_hosts",
        "host_key_alias": "web",
        "is_pinned": True,
    }
    return SSHHost(**{**given, **changes})


def read_options(text, name, tmp_path):
    """The options that ssh itself has for the host *name*."""
    path = tmp_path / "config"
    path.write_text(text)
    done = subprocess.run(
        ["ssh", "-G", "-F", path, name], check=True, capture_output=True, text=True
    )
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


def test_a_section_is_readable():
    host = make_host(proxy=("/usr/bin/python3", "proxy.py", "/my lab", "192.168.200.2", "22"))
    assert render_ssh_config([host], path="/lab/ssh_config") == (
        "# Logs in to the VMs of one prefix: ssh -F /lab/ssh_config VM\n"
        "# Written by lago_sdk at each start: changes are lost.\n"
        "\n"
        "Host web web.lab.test 192.168.200.2\n"
        "    HostName 192.168.200.2\n"
        "    Port 22\n"
        "    User root\n"
        "    IdentityFile /lab/id_ed25519\n"
        "    IdentitiesOnly yes\n"
        "    HostKeyAlias web\n"
        "    UserKnownHostsFile /lab/known_hosts\n"
        "    GlobalKnownHostsFile none\n"
        "    HashKnownHosts no\n"
        "    StrictHostKeyChecking yes\n"
        "    ProxyCommand /usr/bin/python3 proxy.py '/my lab' 192.168.200.2 22\n"
        "    ProxyUseFdpass yes\n"
    )


@pytest.mark.parametrize("alias", ["web", "web.lab.test", "192.168.200.2"])
def test_ssh_reads_what_was_meant(alias, tmp_path):
    hosts = [make_host(), make_host(aliases=("db",), address="fd00::2", user="ann", port=2222)]
    text = render_ssh_config(hosts, path="/lab/ssh_config")
    options = read_options(text, alias, tmp_path)
    assert (options["hostname"], options["port"]) == ("192.168.200.2", "22")
    assert options["hostkeyalias"] == "web"
    assert options["stricthostkeychecking"] == "true"
    assert options["identitiesonly"] == "yes"
    assert "proxycommand" not in options
    other = read_options(text, "db", tmp_path)
    assert (other["hostname"], other["port"], other["user"]) == ("fd00::2", "2222", "ann")


def test_the_first_key_of_a_guest_without_one_on_record_is_taken(tmp_path):
    text = render_ssh_config([make_host(is_pinned=False)], path="/lab/ssh_config")
    options = read_options(text, "web", tmp_path)
    assert options["stricthostkeychecking"] == "accept-new"
    assert options["hashknownhosts"] == "no"


@pytest.mark.parametrize("path", PATHS)
def test_any_path_is_one_word(path, tmp_path):
    host = make_host(key_path=f"{path}/key", known_hosts=f"{path}/known_hosts")
    options = read_options(render_ssh_config([host], path=path), "web", tmp_path)
    assert options["identityfile"].replace("%%", "%") == f"{path}/key"  # told as it is written
    assert options["userknownhostsfile"] == f"{path}/known_hosts"


@pytest.mark.parametrize("path", PATHS)
def test_the_proxy_is_run_with_the_words_that_were_meant(path, tmp_path):
    seen = tmp_path / "seen"
    tell = ("python3", "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])")
    host = make_host(proxy=(*tell, str(seen), path), passes_socket=False)
    config = tmp_path / "config"
    config.write_text(render_ssh_config([host], path="/lab/ssh_config"))
    subprocess.run(["ssh", "-F", config, "web"], check=False, capture_output=True, timeout=20)
    assert seen.read_text() == path


@pytest.mark.parametrize("path", ["/new\nline", "/${HOME}"])
@pytest.mark.parametrize("option", ["key_path", "known_hosts"])
def test_what_cannot_be_written_is_refused(path, option):
    with pytest.raises(LagoError, match="cannot stand in an ssh_config"):
        render_ssh_config([make_host(**{option: path})], path="/lab/ssh_config")
    with pytest.raises(LagoError, match="cannot stand in an ssh_config"):
        render_ssh_config([], path=path)


def test_a_command_is_one_line():
    with pytest.raises(LagoError, match="cannot stand"):
        render_ssh_config([make_host(proxy=("proxy", "a\nb"))], path="/lab/ssh_config")


def test_paramiko_reads_it(tmp_path):
    path = tmp_path / "config"
    path.write_text(render_ssh_config([make_host(proxy=("proxy", "x y"))], path=str(path)))
    options = paramiko.SSHConfig.from_path(str(path)).lookup("web")
    assert options["hostname"] == "192.168.200.2"
    assert options["proxycommand"] == "proxy 'x y'"
