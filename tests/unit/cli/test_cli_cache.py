"""The verbs of the cache, and what others say of it."""

import json

import attrs
import pytest

from lago_cli.tables import describe_checkpoint, status_tables
from lago_sdk import CheckpointStage, CheckpointUse, Config
from lago_sdk.connect import open_checkpoints
from lago_sdk.service.checkpoints.key import Key
from lago_sdk.service.power.start import StartReport
from lago_sdk.service.provisioning.deploy import DeployReport


def keep(word):
    """Put a checkpoint into the cache; returns its key."""
    store, key = open_checkpoints(Config.load()), Key(json.dumps({"word": word}))
    with store.making() as layout:
        layout.layers.mkdir(parents=True)
        (layout.layers / "a.qcow2").write_bytes(b"x" * 5000)
        store.publish(layout, key, lab="/lab/default", vms=("web", "db"))
    return key.digest


@pytest.fixture
def kept(lagoctl):
    return keep("one")


def read(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_empty_cache_says_so(lagoctl):
    result = lagoctl("cache", "list")
    assert result.exit_code == 0
    assert "no checkpoints in" in result.stderr


def test_a_table_for_people(lagoctl, kept):
    head, row = lagoctl("cache", "list").stdout.splitlines()
    assert " ".join(head.split()) == "KEY VMS ON DISK MADE LAST USED HITS"
    assert row.startswith(f"{kept[:12]}  web, db  ")


def test_data_is_in_bytes_and_whole(lagoctl, kept):
    (data,) = read(lagoctl("cache", "list", "-f", "json"))
    assert (data["key"], data["vms"], data["hits"], data["users"]) == (kept, ["web", "db"], 0, 0)
    assert data["disk_usage"] == data["reclaimable"] >= 5000
    assert data == read(lagoctl("cache", "info", kept[:6], "-f", "json"))
    assert "made of" in lagoctl("cache", "info", kept[:6]).stdout


def test_one_is_removed_by_the_first_digits_of_its_key(lagoctl, kept):
    other = keep("two")
    result = lagoctl("cache", "rm", kept[:8])
    assert result.exit_code == 0
    assert f"removed {kept[:12]}, " in result.stderr
    assert [item["key"] for item in read(lagoctl("cache", "list", "-f", "json"))] == [other]


@pytest.mark.parametrize("key", ["nonsense", ""])
def test_a_key_that_is_none_is_a_mistake(lagoctl, kept, key):
    result = lagoctl("cache", "rm", key)
    assert result.exit_code == 2
    assert f"there is no checkpoint {key!r}" in result.stderr
    assert len(read(lagoctl("cache", "list", "-f", "json"))) == 1


def test_collection_by_age_and_size(lagoctl, kept):
    assert "removed nothing" in lagoctl("cache", "gc").stderr
    assert "removed nothing" in lagoctl("cache", "gc", "--max-age", "1h").stderr
    result = lagoctl("cache", "gc", "--max-size", "1K", "--dry-run", "-f", "json")
    assert [item["key"] for item in read(result)["removed"]] == [kept]
    assert "would remove 1 checkpoint, " in result.stderr
    result = lagoctl("cache", "gc", "--max-age", "0")
    assert "removed 1 checkpoint, " in result.stderr
    assert read(lagoctl("cache", "list", "-f", "json")) == []


def test_the_settings_are_the_limits(lagoctl, kept, monkeypatch):
    monkeypatch.setenv("LAGO_CHECKPOINT_MAX_SIZE", "1K")
    assert "removed 1 checkpoint" in lagoctl("cache", "gc").stderr
    monkeypatch.setenv("LAGO_CHECKPOINT_MAX_SIZE", "much")
    result = lagoctl("cache", "list")
    assert result.exit_code == 2
    assert "a size such as 500M, 20G or 1.5T" in result.stderr


def test_a_limit_that_is_none_is_a_mistake(lagoctl, kept):
    assert lagoctl("cache", "gc", "--max-age", "soon").exit_code == 2
    assert lagoctl("cache", "gc", "--max-size", "much").exit_code == 2


# -- other verbs ---------------------------------------------------------------------------

KEY = "3fa85f64" + 56 * "0"
MADE = 1795821921.0
EMPTY = "domains: {web: {memory: 64}}\nnets: {lan: {}}\n"


def use(stage):
    return CheckpointUse(stage=stage, key=KEY, made=MADE, deployed=("web-1",))


def test_what_is_said_of_a_lab():
    checkpoint = "checkpoint 3fa85f640000 of 2026-11-27T23:25:21Z"
    said = {stage: describe_checkpoint(use(stage)) for stage in CheckpointStage}
    assert said[CheckpointStage.RESTORED] == f"restored from {checkpoint}"
    assert said[CheckpointStage.KEPT] == f"kept as {checkpoint}"
    assert said[CheckpointStage.FROZEN] == f"made of {checkpoint}; start restores it"
    assert said[CheckpointStage.BOOTED] == ""
    assert describe_checkpoint(None) == ""
    assert describe_checkpoint(CheckpointUse(stage=CheckpointStage.BARRED)) == ""


def test_up_says_where_the_lab_came_from_and_that_deploy_has_nothing_to_do(
    library, lagoctl, tmp_path
):
    (tmp_path / "LagoInitFile").write_text(EMPTY)
    prefix = library.add()
    prefix.record = attrs.evolve(prefix.record, cache=True)
    restored = use(CheckpointStage.RESTORED)
    prefix.start = lambda: StartReport(
        started=("web-1",), already_running=(), checkpoint=restored, seconds=1.5
    )
    prefix.deploy = lambda vms: DeployReport(runs={}, logs={}, seconds=0.0, skipped=tuple(vms))
    sound = prefix.status()
    prefix.status = lambda: attrs.evolve(sound, checkpoint=restored)
    result = lagoctl("up", "LagoInitFile", "--cache", "--deploy")
    assert "restored from checkpoint 3fa85f640000" in result.stderr
    assert "nothing to do: web-1: the scripts ran when the lab came up" in result.stderr
    assert "Checkpoint: restored from checkpoint 3fa85f640000 of" in result.stdout
    flat = lagoctl("status", "-f", "flat").stdout
    assert "Checkpoint: restored from checkpoint 3fa85f640000" in flat
    table = status_tables(prefix.status())
    assert "\nrestored from checkpoint 3fa85f640000 of" in table


def test_a_lab_that_was_made_without_the_cache_is_told_of(library, lagoctl, tmp_path):
    (tmp_path / "LagoInitFile").write_text(EMPTY)
    assert lagoctl("up", "--cache").exit_code == 0
    assert library.cached == [True]
    library.prefixes["default"].record = attrs.evolve(
        library.prefixes["default"].record, cache=False
    )
    assert "was made without --cache" in lagoctl("up", "--cache").stderr
    lagoctl("init", "-P", "other")
    assert library.cached == [True, False]
