"""Ansible itself, on guests without and with Python."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functional.conftest import EXAMPLES
from lago_sdk import Config, Prefix

pytestmark = [pytest.mark.functional, pytest.mark.slow, pytest.mark.root_only]

Ansible = Callable[..., subprocess.CompletedProcess[str]]

PLAYBOOK = """\
- hosts: web_servers
  gather_facts: false
  tasks:
    - ansible.builtin.raw: hostname
      register: told
    - ansible.builtin.script: greet.sh "{{ role }}"
      register: greeted
    - ansible.builtin.assert:
        that:
          - told.stdout | trim == inventory_hostname
          - greeted.stdout | trim == "hello front of " ~ inventory_hostname
          - lago_groups["web-servers"] == "web_servers"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str) -> Iterator[Prefix]:
    """Two VMs without Python, running, in a directory whose name has to be quoted."""
    workdir = tmp_path_factory.mktemp("ansible") / "my lab 100%"
    vm = {"memory": 128, "vcpu": 1, "nics": [{"net": "lan"}]}
    vm["disks"] = [{"type": "template", "name": "root", "dev": "vda", "template_name": tiny}]
    web = {**vm, "groups": ["web-servers"]}
    spec = {"domains": {"web": web, "db": vm}, "nets": {"lan": {"management": True}}}
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture(scope="module")
def ansible() -> Iterator[Ansible]:
    """Run a program of Ansible's; the connections that it keeps open are closed in the end."""
    with tempfile.TemporaryDirectory(prefix="lago-ansible-") as home:
        environ = {
            **os.environ,
            "ANSIBLE_HOME": home,
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_PIPELINING": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

        def run(program: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                [program, *map(str, words)],
                cwd=home,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == code, f"{done.args}\n{done.stdout}\n{done.stderr}"
            return done

        yield run
        for path in Path(home, "cp").glob("*"):
            end = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "any"]
            subprocess.run(end, check=False, capture_output=True, timeout=20)


@pytest.mark.parametrize("form", ["ini", "yaml"])
def test_a_playbook_on_guests_without_python(
    form: str, lab: Prefix, ansible: Ansible, tmp_path: Path
) -> None:
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    (tmp_path / "greet.sh").write_text('#!/bin/sh\necho "hello $1 of $(hostname)"\n')
    with lab.ansible_inventory_file(format=form) as inventory:  # type: ignore[arg-type]
        done = ansible(
            "ansible-playbook", "-i", inventory, "-e", "role=front", tmp_path / "site.yml"
        )
    assert "web " in done.stdout
    assert "failed=0" in done.stdout
    assert "db " not in done.stdout


def test_a_script_is_a_dynamic_inventory(lab: Prefix, ansible: Ansible, tmp_path: Path) -> None:
    script = tmp_path / "lab.sh"
    words = f'-m lago_cli -w "{lab.path.parent}" ansible-hosts "$@"'
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}\n')
    script.chmod(0o755)
    done = ansible("ansible", "-i", script, "vm_type_default", "-m", "raw", "-a", "hostname")
    assert {"web", "db"} <= set(done.stdout.split())
    listed = json.loads(ansible("ansible-inventory", "-i", script, "--list").stdout)
    assert listed["web_servers"]["hosts"] == ["web"]
    asked = subprocess.run([script, "--host", "db"], check=True, capture_output=True, text=True)
    assert json.loads(asked.stdout)["ansible_host"] == lab.vms["db"].ip


@pytest.mark.private_only
def test_the_example_on_a_guest_with_python(
    debian_lab: Prefix, ansible: Ansible, tmp_path: Path
) -> None:
    server = debian_lab.vms["server"]
    inventory = tmp_path / "hosts"
    inventory.write_text(f"{debian_lab.ansible_inventory()}\n[web_servers]\nserver\n")
    done = ansible("ansible", "-i", inventory, "server", "-m", "ping")
    assert '"ping": "pong"' in done.stdout
    assert "discovered" not in done.stdout + done.stderr  # the template tells where Python is
    done = ansible("ansible-playbook", "-i", inventory, EXAMPLES / "ansible" / "site.yml")
    assert "failed=0" in done.stdout
    page = server.ssh("curl -s --retry 5 --retry-connrefused http://localhost/").check()
    assert page.out == "hello from server\n"
    server.ssh("systemctl stop pages").check()
