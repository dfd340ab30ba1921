"""Checkpoints of real VMs: kept once, restored by other processes, and never wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lago_sdk import (
    CheckpointStage,
    Config,
    Note,
    Prefix,
    VMState,
    gc_checkpoints,
    import_template,
    list_checkpoints,
    list_templates,
)

ROOT = {"type": "template", "template_name": "cached", "name": "root", "dev": "vda"}
RAW = {"type": "empty", "size": "8M", "name": "raw", "dev": "vdb", "format": "raw"}
SCRIPT = """#!/bin/sh
# Until somebody reads it for the first time a boot has no id.
cat /proc/sys/kernel/random/boot_id > /root/boot_id
echo here | dd of=/dev/vdb conv=fsync 2>/dev/null
(while :; do sleep 1; done) </dev/null >/dev/null 2>&1 &
echo $! > /tmp/pid
"""
LOOK = (
    "cat /root/boot_id /proc/sys/kernel/random/boot_id; head -c 4 /dev/vdb; echo;"
    "kill -0 $(cat /tmp/pid) && echo runs"
)


class Bench:
    """A machine with a template, a script and a cache of its own."""

    def __init__(self, path, host, template):
        self.path = path
        self.config = Config.load(
            {"host": host, "cache_dir": path / "cache", "template_store": path / "templates"}
        )
        self.host = host
        self.script = path / "setup.sh"
        self.script.write_text(SCRIPT)
        image = next(item for item in list_templates() if item.name == template).image
        self.image = path / "image.qcow2"
        shutil.copyfile(image.path, self.image)
        facts = path / "facts.json"
        facts.write_text(json.dumps(dict(image.metadata)))
        self.facts = facts
        self.publish("1")

    def publish(self, version):
        import_template(
            self.image, name="cached", version=version, metadata=self.facts, config=self.config
        )

    def spec(self, **changes):
        vm = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT, RAW], **changes}
        vm["metadata"] = {"deploy-scripts": [str(self.script)]}
        return {"domains": {"web": vm}, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}

    def create(self, name, *, notes=None, **changes):
        return Prefix.create(
            self.spec(**changes),
            workdir=self.path / name,
            config=self.config,
            cache=True,
            observer=(lambda event: None) if notes is None else notes.append,
        )

    @property
    def environment(self):
        return {
            **os.environ,
            "LAGO_CACHE_DIR": str(self.config.cache_dir),
            "LAGO_TEMPLATE_STORE": str(self.config.template_store),
            "LAGO_HOST": self.host,
            "COLUMNS": "200",
        }

    def begin(self, name, *words, **changes):
        """Start a module of Python in a directory of its own, which has the init file."""
        place = self.path / name
        place.mkdir(exist_ok=True)
        (place / "LagoInitFile").write_text(json.dumps(self.spec(**changes)))
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name, *words, **changes):
        """Run lagoctl in such a directory."""
        with self.begin(name, "lago_cli", *words, **changes) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out, err


@pytest.fixture(scope="module")
def bench(tmp_path_factory, host, tiny):
    return Bench(tmp_path_factory.mktemp("cache"), host, tiny)


@pytest.fixture(scope="module")
def kept(bench):
    """A lab that booted, and was kept; gone again. What was seen in it."""
    with bench.create("first") as lab:
        report = lab.start()
        assert report.checkpoint.stage is CheckpointStage.KEPT
        seen = lab.vms["web"].ssh(LOOK).check().out
    assert seen.split()[2:] == ["here", "runs"]
    return report.checkpoint, seen


def warnings(notes):
    return [note.message for note in notes if isinstance(note, Note) and note.warning]


@pytest.mark.private_only
def test_another_process_goes_on_from_what_was_kept(bench, kept):
    use, seen = kept
    try:
        _, told = bench.run("second", "up", "--cache", "--deploy")
        assert f"restored from checkpoint {use.key[:12]} of " in told
        assert "nothing to do: web: the scripts ran when the lab came up" in told
        lab = Prefix.open(bench.path / "second" / ".lago", config=bench.config)
        assert lab.vms["web"].ssh(LOOK).check().out == seen  # one boot, one process, one disk
        assert abs(float(lab.vms["web"].ssh("date +%s").check().out) - time.time()) < 60
        (found,) = json.loads(bench.run("second", "cache", "list", "-f", "json")[0])
        assert (found["key"], found["vms"], found["users"]) == (use.key, ["web"], 1)
        assert found["hits"] >= 1
        assert "restored from checkpoint" in bench.run("second", "status")[0]
        # Who collects garbage takes nothing from it.
        _, told = bench.run("second", "cache", "gc", "--max-age", "0", "--dry-run")
        assert "would remove 1 checkpoint" in told
        shutil.copytree(bench.config.checkpoints, bench.path / "aside")
        bench.run("second", "cache", "gc", "--max-age", "0")
        assert list_checkpoints(config=bench.config) == ()
        lab.vms["web"].ssh("echo 3 > /proc/sys/vm/drop_caches").check()
        assert lab.vms["web"].ssh(LOOK).check().out == seen
        assert lab.vms["web"].ssh("find / -xdev -type f -exec cat {} + | wc -c").check().out
        shutil.rmtree(bench.config.checkpoints)
        shutil.move(bench.path / "aside", bench.config.checkpoints)
    finally:
        bench.run("second", "destroy", "--yes")


@pytest.mark.private_only
@pytest.mark.root_only
@pytest.mark.parametrize("words", [["--lago-cache"], ["-o", "lago_cache=true"]])
def test_the_fixture_of_the_pytest_plugin_uses_it(bench, kept, words):
    place = bench.path / "suite"
    place.mkdir(exist_ok=True)
    (place / "test_suite.py").write_text(
        "def test_it(lago_prefix):\n"
        "    assert lago_prefix.checkpoint.stage.value == 'restored'\n"
        "    lago_prefix.vms['web'].ssh('kill -0 $(cat /tmp/pid)').check()\n"
    )
    with bench.begin("suite", "pytest", "-q", "-p", "no:cacheprovider", *words) as process:
        out, _ = process.communicate(timeout=300)
    assert "1 passed" in out


@pytest.mark.private_only
@pytest.mark.root_only
def test_what_is_made_of_anything_else_boots(bench, kept):
    def stage_of(name, **changes):
        with bench.create(name, **changes) as lab:
            return lab.checkpoint.stage

    hit, miss = CheckpointStage.FROZEN, CheckpointStage.COLD
    assert stage_of("same") is hit
    assert stage_of("memory", memory=193) is miss
    assert stage_of("disk", disks=[{**ROOT, "size": "3G"}, RAW]) is miss
    bench.script.write_text(f"{SCRIPT}true\n")
    assert stage_of("script") is miss
    bench.script.write_text(SCRIPT)
    assert stage_of("same") is hit
    subprocess.run(["qemu-io", "-c", "write -P 7 4k 512", bench.image], check=True)
    bench.publish("2")
    assert stage_of("template") is miss
    shutil.rmtree(bench.config.template_store / "cached" / "2")
    assert stage_of("same") is hit


@pytest.mark.private_only
@pytest.mark.root_only
def test_a_damaged_checkpoint_is_thrown_away_and_the_lab_boots(bench, kept):
    use, _ = kept
    memory = bench.config.checkpoints / use.key / "fork" / "web.memory"
    os.truncate(memory, memory.stat().st_size // 2)
    notes = []
    with bench.create("damaged", notes=notes) as lab:
        assert lab.start().checkpoint.stage is CheckpointStage.KEPT
        assert lab.vms["web"].ssh(LOOK).check().out.split()[2:] == ["here", "runs"]
    (warning,) = warnings(notes)
    assert "is damaged, and was removed" in warning
    with bench.create("mended") as lab:
        assert lab.start().checkpoint.stage is CheckpointStage.RESTORED


@pytest.mark.private_only
@pytest.mark.root_only
def test_a_kill_while_it_is_kept_leaves_nothing_to_hit(bench):
    code = (
        "import json, os, signal, sys\n"
        "from lago_sdk import Config, Prefix\n"
        "from lago_sdk.service.checkpoints.store import CheckpointStore\n"
        "CheckpointStore.publish = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "spec, workdir, settings = json.loads(sys.argv[1])\n"
        "config = Config.load(settings)\n"
        "Prefix.create(spec, workdir=workdir, config=config, cache=True).start()\n"
    )
    names = ("host", "cache_dir", "template_store")
    settings = {name: str(getattr(bench.config, name)) for name in names}
    before = {found.key for found in list_checkpoints(config=bench.config)}
    argument = json.dumps([bench.spec(memory=194), str(bench.path / "killed"), settings])
    done = subprocess.run([sys.executable, "-c", code, argument], check=False)
    assert done.returncode == -signal.SIGKILL
    making = bench.config.checkpoints / ".making"
    assert any(path.is_dir() for path in making.iterdir())
    assert {found.key for found in list_checkpoints(config=bench.config)} == before
    with bench.create("after", memory=194) as lab:
        assert lab.checkpoint.stage is CheckpointStage.COLD
    gc_checkpoints(config=bench.config)
    assert list(making.iterdir()) == []
    # The lab itself was not harmed: it runs, and its first start is brought to its end.
    lab = Prefix.open(bench.path / "killed", config=bench.config)
    assert lab.vms["web"].state is VMState.RUNNING
    assert lab.start().already_running == ("web",)
    assert lab.checkpoint.stage is CheckpointStage.BOOTED
    lab.destroy()


@pytest.mark.private_only
@pytest.mark.root_only
def test_of_two_at_once_one_boots_and_both_run(bench):
    try:
        both = [
            bench.begin(name, "lago_cli", "up", "--cache", memory=195) for name in ("left", "right")
        ]
        told = [process.communicate(timeout=300)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        words = ("kept as checkpoint", "restored from checkpoint")
        found = [word for text in told for word in words if word in text]
        assert sorted(found) == sorted(words)
        seen = [bench.run(name, "shell", "web", LOOK)[0] for name in ("left", "right")]
        assert seen[0] == seen[1]
    finally:
        for name in ("left", "right"):
            bench.run(name, "destroy", "--yes")


@pytest.mark.private_only
@pytest.mark.root_only
def test_a_cache_that_is_full_is_told_and_one_elsewhere_is_copied_from(bench, kept):
    place = bench.path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=True)
    own, notes = bench.config, []
    try:
        bench.config = Config.load(
            {"host": bench.host, "cache_dir": place, "template_store": own.template_store}
        )
        with bench.create("full", notes=notes) as lab:
            assert lab.start().checkpoint.stage is CheckpointStage.BOOTED
            assert lab.vms["web"].ssh(LOOK).check().out.split()[2:] == ["here", "runs"]
        assert "could not be kept as a checkpoint" in warnings(notes)[0]
        assert list_checkpoints(config=bench.config) == ()
        # On another file system there are no hard links.
        subprocess.run(["mount", "-o", "remount,size=400m", place], check=True)
        shutil.copytree(own.checkpoints, bench.config.checkpoints, dirs_exist_ok=True)
        with bench.create("copied") as lab:
            assert lab.start().checkpoint.stage is CheckpointStage.RESTORED
            shutil.rmtree(bench.config.checkpoints)
            assert lab.vms["web"].ssh(LOOK).check().out.split()[2:] == ["here", "runs"]
    finally:
        bench.config = own
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.system_only
def test_a_lab_on_the_system_host_is_provisioned_and_told_that_it_boots(bench):
    notes = []
    with bench.create("shared", notes=notes) as lab:
        assert lab.start().checkpoint.stage is CheckpointStage.BOOTED
        assert lab.vms["web"].ssh(LOOK).check().out.split()[2:] == ["here", "runs"]
        assert lab.deploy().skipped == ("web",)
    assert "it is not on a private host" in warnings(notes)[0]
    assert list_checkpoints(config=bench.config) == ()
