"""Tools from outside reach guests by the prefix's ``ssh_config``: the real ones, on real VMs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lago_sdk import Config, Prefix

PARAMIKO = """
import sys
import paramiko

found = paramiko.SSHConfig.from_path(sys.argv[1]).lookup("web")
web = {key: value.replace("%%", "%") for key, value in found.items() if isinstance(value, str)}
(key,) = found["identityfile"]
client = paramiko.SSHClient()
client.load_host_keys(web["userknownhostsfile"].replace('\\\\"', '"'))
client.connect(
    "web",
    username=web["user"],
    key_filename=key.replace("%%", "%").replace('\\\\"', '"'),
    sock=paramiko.ProxyCommand(web["proxycommand"]),
    look_for_keys=False,
    allow_agent=False,
)
print(client.exec_command("hostname")[1].read().decode(), end="")
client.close()
"""
"""As another program would, but for what it does not read as OpenSSH: escapes in paths."""

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str) -> Iterator[Prefix]:
    """Two VMs, running, in a directory whose name has all that has to be quoted."""
    workdir = tmp_path_factory.mktemp("tools") / 'it\'s "my" lab 100%'
    vm = {"memory": 128, "vcpu": 1, "nics": [{"net": "lan"}]}
    vm["disks"] = [{"type": "template", "name": "root", "dev": "vda", "template_name": tiny}]
    net = {"type": "nat", "management": True, "dns_domain_name": "lab.test"}
    spec = {"domains": {"web": vm, "db": vm}, "nets": {"lan": net}}
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


def run(*words: object, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in a directory that has nothing to do with the prefix."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd="/",
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with what copies get wrong."""
    tree = tmp_path / "a tree"
    (tree / "sub dir").mkdir(parents=True)
    (tree / "sub dir" / "data").write_bytes(os.urandom(100_000))
    (tree / "script").write_text("#!/bin/sh\necho hello\n")
    (tree / "script").chmod(0o750)
    (tree / "link").symlink_to("script")
    return tree


def list_tree(path: Path) -> dict[str, tuple[int, bytes | str]]:
    """What is in a directory: modes, and contents or targets."""
    return {
        str(entry.relative_to(path)): (
            entry.lstat().st_mode,
            str(entry.readlink())
            if entry.is_symlink()
            else entry.read_bytes()
            if entry.is_file()
            else "",
        )
        for entry in path.rglob("*")
    }


def test_ssh_by_name(lab: Prefix) -> None:
    for name in ("web", "db"):
        for called in (name, f"{name}.lab.test", str(lab.vms[name].ip)):
            assert run("ssh", "-F", lab.ssh_config, called, "hostname").stdout == f"{name}\n"
    assert (
        run("ssh", "-F", lab.ssh_config, "web", "cat", text="x" * 200_000).stdout == "x" * 200_000
    )
    assert run("ssh", "-F", lab.ssh_config, "web", "exit 7", code=7).stdout == ""


@pytest.mark.root_only
def test_another_host_key_is_refused(lab: Prefix) -> None:
    done = run("ssh", "-F", lab.ssh_config, "-o", "HostKeyAlias=db", "web", "true", code=255)
    assert "Host key verification failed" in done.stderr
    none = ("-o", "HostKeyAlias=nobody")
    run("ssh", "-F", lab.ssh_config, *none, "-o", "BatchMode=yes", "web", "true", code=255)


@pytest.mark.root_only
def test_scp_and_sftp(lab: Prefix, tree: Path, tmp_path: Path) -> None:
    config = lab.ssh_config
    run("scp", "-q", "-F", config, "-r", "-p", tree, "web:/tmp/scp tree")
    run("scp", "-q", "-F", config, "-r", "-p", "web:/tmp/scp tree", tmp_path / "back")
    assert (tmp_path / "back/sub dir/data").read_bytes() == (tree / "sub dir/data").read_bytes()
    batch = f'put "{tree}/script" /tmp/sent\nget /tmp/sent "{tmp_path}/got"\n'
    run("sftp", "-q", "-F", config, "-b", "-", "db", text=batch)
    assert (tmp_path / "got").read_text() == "#!/bin/sh\necho hello\n"


@pytest.mark.root_only
def test_rsync(lab: Prefix, tree: Path, tmp_path: Path) -> None:
    """The guest has no rsync: it is given ours, with the libraries that it needs."""
    kit = tmp_path / "kit"
    kit.mkdir()
    program = shutil.which("rsync")
    assert program
    for path in (program, *re.findall(r"/\S+", run("ldd", program).stdout)):
        shutil.copy(path, kit)
    run("scp", "-q", "-F", lab.ssh_config, "-r", kit, "web:/tmp/kit")
    loader = next(path.name for path in kit.iterdir() if path.name.startswith("ld-linux"))
    theirs = f"/tmp/kit/{loader} --library-path /tmp/kit /tmp/kit/rsync"
    shell = tmp_path / "rsh"  # rsync splits its -e at blanks
    shell.write_text('#!/bin/sh\nexec ssh -F "$LAGO_SSH_CONFIG" "$@"\n')
    shell.chmod(0o755)
    words = ("env", f"LAGO_SSH_CONFIG={lab.ssh_config}", "rsync", "-a", "--rsync-path", theirs)
    run(*words, "-e", shell, f"{tree}/", "web:/tmp/rsynced/")
    run(*words, "-e", shell, "web:/tmp/rsynced/", f"{tmp_path}/back/")
    assert list_tree(tmp_path / "back") == list_tree(tree)


@pytest.mark.root_only
@pytest.mark.private_only
@pytest.mark.parametrize("relay", [False, True])
def test_what_cannot_take_a_socket_is_relayed_to(lab: Prefix, tmp_path: Path, relay: bool) -> None:
    config = tmp_path / "config"
    config.write_text(lab.render_ssh_config(relay=relay))
    if relay:
        assert run("ssh", "-F", config, "web", "cat", text="x" * 300_000).stdout == "x" * 300_000
    assert run(sys.executable, "-c", PARAMIKO, config).stdout == "web\n"


@pytest.mark.private_only
def test_what_does_not_run_is_told_in_a_sentence(lab: Prefix) -> None:
    lab.stop("db")
    told = run("ssh", "-F", lab.ssh_config, "db", "true", code=255).stderr.splitlines()
    assert told[0].startswith(f"lago: 'db' ({lab.vms['db'].ip} port 22) cannot be reached: ")
    assert run("ssh", "-F", lab.ssh_config, "web", "hostname").stdout == "web\n"
    lab.stop()
    told = run("ssh", "-F", lab.ssh_config, "web", "true", code=255).stderr.splitlines()
    assert told[0].startswith(f"lago: nothing of the prefix {str(lab.path)!r} is running (")
