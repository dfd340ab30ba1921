"""The template store of a real prefix; and stores that are full, read-only or closed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest

from lago_sdk import (
    Config,
    Prefix,
    TemplateInUseError,
    TemplateNotFoundError,
    gc_templates,
    get_template_info,
    import_template,
    list_templates,
    remove_template,
    verify_template,
)
from lago_sdk.adapters.access import User, _list_steps, find_blocking

pytestmark = [pytest.mark.functional, pytest.mark.root_only, pytest.mark.timeout(300)]

SMALL = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}]}
NETS = {"lan": {"dhcp": {"start": 100, "end": 254}}}
NOBODY = User(name="nobody", uid=65534, gids=frozenset({65534}))


@pytest.fixture
def own_store(config: Config, tmp_path: Path, tiny: str) -> Config:
    """Settings with a store that holds a copy of tiny, and a layer on it."""
    found = get_template_info(tiny, config=config).template
    own = attrs.evolve(config, template_store=tmp_path / "store")
    copy = import_template(
        found.image.path, name="tiny", version="1", metadata=found.image.metadata, config=own
    )
    layer = tmp_path / "layer.qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", copy.image.format.value]
    subprocess.run([*argv, "-b", copy.image.path, layer], check=True)
    facts = found.image.metadata
    import_template(layer, name="layered", version="1", metadata=facts, config=own)
    return own


def make_spec(template: str) -> dict[str, object]:
    disk = {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
    return {"domains": {"solo": {**SMALL, "disks": [disk]}}, "nets": NETS}


def test_what_a_live_prefix_uses_cannot_be_removed(own_store: Config, tmp_path: Path) -> None:
    prefix = Prefix.create(make_spec("layered"), workdir=tmp_path / "w", config=own_store)
    try:
        prefix.start()
        for name in ("tiny", "layered"):  # the layer below is in use as well
            (use,) = get_template_info(name, config=own_store).users
            assert use.prefix == prefix.path
            with pytest.raises(TemplateInUseError, match=str(prefix.path)):
                remove_template(name, config=own_store)
        report = gc_templates(older_than=-1, max_size=0, config=own_store)
        assert report.removed == ()
        assert prefix.vms["solo"].ssh("cat /etc/hostname").check().out.strip() == "solo"
        assert verify_template("tiny", config=own_store)
    finally:
        prefix.destroy()
    report = gc_templates(older_than=-1, config=own_store)
    assert [info.template.name for info in report.removed] == ["layered", "tiny"]
    assert list_templates(config=own_store) == ()
    with pytest.raises(TemplateNotFoundError):
        Prefix.create(make_spec("layered"), workdir=tmp_path / "w", config=own_store)


def test_a_prefix_that_was_moved_keeps_its_template(own_store: Config, tmp_path: Path) -> None:
    prefix = Prefix.create(make_spec("tiny"), workdir=tmp_path / "w", config=own_store, keep=True)
    prefix.close()
    (tmp_path / "w").rename(tmp_path / "moved")
    moved = Prefix.open(tmp_path / "moved", config=own_store)
    try:
        moved.start()
        (use,) = get_template_info("tiny", config=own_store).users
        assert use.prefix == moved.path
    finally:
        moved.destroy()


def test_a_failed_creation_uses_nothing(own_store: Config, tmp_path: Path) -> None:
    spec = make_spec("tiny")
    disk = {"type": "file", "path": str(tmp_path / "nowhere.img"), "name": "more", "dev": "vdb"}
    spec["domains"]["solo"]["disks"].append(disk)  # type: ignore[index]
    with pytest.raises(Exception, match=r"nowhere\.img"):
        Prefix.create(spec, workdir=tmp_path / "w", config=own_store)
    remove_template("layered", config=own_store)
    remove_template("tiny", config=own_store)


def run_on_own_file_system(code: str, *arguments: str, size: str) -> str:
    """Run Python with a file system of its own at ``arguments[0]``; returns what it prints."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs -o size="$0" tmpfs "$2" && exec "$1" -c "$3" "${@:4}"'
    argv = ["unshare", "--mount", *user, "bash", "-c", script, size, sys.executable]
    done = subprocess.run(
        [*argv, arguments[0], code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PREAMBLE = """
import os, subprocess, sys
import attrs
from pathlib import Path
import lago_sdk
from lago_sdk import *
place = Path(sys.argv[1])
config = Config(template_store=place / "store")
def left():
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
"""


def test_a_full_file_system_is_told_and_nothing_is_half_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    source = tmp_path / "disk.img"
    source.write_bytes(os.urandom(8 << 20))
    code = PREAMBLE + (
        "try:\n"
        "    import_template(sys.argv[2], name='big', config=config)\n"
        "except LagoError as error:\n"
        "    print(type(error).__name__, error)\n"
        "assert list_templates(config=config) == ()\n"
        "print(left(), os.listdir(place / 'store/.tmp'))\n"
        "small = Path(sys.argv[2]).with_name('small.img')\n"
        "small.write_bytes(bytes(4096))\n"
        "print(import_template(small, name='small', version='1', config=config).reference)\n"
    )
    told, files, after = run_on_own_file_system(
        code, str(place), str(source), size="4M"
    ).splitlines()
    assert "No space left on device" in told
    assert "full" in told
    assert files == "['store/.locks/big.lock'] []"
    assert after == "small:1"


def test_a_read_only_store_can_be_used_and_not_changed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    source = tmp_path / "disk.img"
    source.write_bytes(bytes(1 << 20))
    code = PREAMBLE + (
        "import_template(sys.argv[2], name='base', version='1', config=config)\n"
        "subprocess.run(['mount', '-o', 'remount,ro', place], check=True)\n"
        "def attempt(action):\n"
        "    try:\n"
        "        action()\n"
        "    except TemplateError as error:\n"
        "        print(error)\n"
        "attempt(lambda: import_template(sys.argv[2], name='base', version='2', config=config))\n"
        "attempt(lambda: import_template(sys.argv[2], name='new', config=config))\n"
        "where = attrs.evolve(config, template_repo_path=(sys.argv[3],))\n"
        "attempt(lambda: fetch_template('other', config=where))\n"
        "attempt(lambda: remove_template('base', config=config))\n"
        "attempt(lambda: gc_templates(older_than=-1, config=config))\n"
        "print(verify_template('base', config=config).reference)\n"
        "workdir = Path(sys.argv[2]).with_name('w')\n"
        "notes = []\n"
        "disk = dict(type='template', template_name='base', name='root', dev='vda')\n"
        "vm = dict(memory=64, nics=[dict(net='lan')], disks=[disk])\n"
        "spec = dict(domains=dict(a=vm), nets=dict(lan=dict()))\n"
        "config = Config(template_store=place / 'store', host='private')\n"
        "with Prefix.create(spec, workdir=workdir, config=config, observer=notes.append):\n"
        "    print(*[x.message for x in notes if isinstance(x, Note) and x.warning])\n"
    )
    version = {"source": "here", "handle": source.name, "timestamp": 1, "digest": "0" * 64}
    repository = {
        "name": "here",
        "sources": {"here": {"type": "file", "args": {"root": str(tmp_path)}}},
        "templates": {"other": {"versions": {"1": version}}},
    }
    (tmp_path / "here.json").write_text(json.dumps(repository))
    *refused, verified, warned = run_on_own_file_system(
        code, str(place), str(source), str(tmp_path / "here.json"), size="16M"
    ).splitlines()
    assert len(refused) == 5
    assert all("store" in line and "read-only" in line.lower() for line in refused), refused
    assert all("set template_store to another directory" in line for line in refused), refused
    assert verified == "base:1"
    assert "cannot be marked as used" in warned


@pytest.mark.root_only
@pytest.mark.parametrize("mode", [0o700, 0o711, 0o755, 0o750, 0o701, 0o640])
@pytest.mark.parametrize("group", [0, 65534])
def test_the_kernel_agrees_on_what_another_user_can_reach(mode: int, group: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        place = top / "place"
        place.mkdir()
        image = place / "image"
        image.write_bytes(b"x")
        image.chmod(0o444)
        os.chown(place, 0, group)
        place.chmod(mode)
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", image]
        is_open = subprocess.run(argv, capture_output=True, check=False).returncode == 0
        assert (find_blocking(_list_steps(image), NOBODY) is None) == is_open
