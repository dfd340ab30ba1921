"""A wrong hit is impossible: whatever makes a lab another one makes its key another one."""

import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import attrs
import pytest
from fake_labs import lab_spec, make_lab, vm
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.errors import LagoError
from lago_sdk.plan import models
from lago_sdk.plan.facts import HostFacts
from lago_sdk.plan.models import Plan
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.service.checkpoints import key as keys
from lago_sdk.service.checkpoints.key import (
    NAMES_UUID,
    dump_facts,
    dump_plan,
    find_differences,
    make_key,
)
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.making.deploy_scripts import name_copies
from lago_sdk.spec import disk as disk_models
from lago_sdk.spec import net as net_models
from lago_sdk.spec import nic as nic_models
from lago_sdk.spec import vm as vm_models
from lago_sdk.spec.disk import DiskSpec, EmptyDisk, FileDisk, TemplateDisk
from lago_sdk.testing import make_world
from strategies import prefix_specs

NOT_IN_THE_KEY = {("Plan", "uuid"), ("VMSpec", "deploy_scripts")}
"""What a lab is called does not matter; scripts are told by their content."""

SIMPLE = {
    str: ("one", "two"),
    int: (7, 8),
    float: (1.5, 2.5),
    bool: (False, True),
    IPv4Address: (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
    IPv6Address: (IPv6Address("fd00::1"), IPv6Address("fd00::2")),
    IPv4Network: (IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.0/24")),
    IPv6Network: (IPv6Network("fd00::/64"), IPv6Network("fd00:0:0:1::/64")),
    object: ("one", "two"),
    typing.Any: ("one", "two"),
}


def value_of(kind, variant, disk):
    """A value of the type *kind*; those of the variants 0 and 1 differ."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return value_of(next(arg for arg in args if arg is not type(None)), variant, disk)
    if origin is tuple and args[-1] is Ellipsis:
        return (value_of(args[0], variant, disk),)
    if origin is tuple:
        return tuple(value_of(arg, variant, disk) for arg in args)
    if origin in (Mapping, dict):
        return {"key": value_of(args[1], variant, disk)}
    if kind is DiskSpec:
        return value_of(disk, variant, disk)
    if attrs.has(kind):
        attrs.resolve_types(kind)
        fields = attrs.fields(kind)
        return kind(**{field.name: value_of(field.type, variant, disk) for field in fields})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[variant]
    return SIMPLE[kind][variant]


def mutate(value, place):
    """Every copy of *value* in which one field, at any depth, is another; with its place."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            for changed, where in mutate(item, place):
                yield (*value[:index], changed, *value[index + 1 :]), where
    if not attrs.has(type(value)):
        return
    kind = type(value)
    for field in attrs.fields(kind):
        where = (kind.__name__, field.name)
        disk = type(value.spec) if where == ("DiskPlan", "spec") else TemplateDisk
        yield attrs.evolve(value, **{field.name: value_of(field.type, 1, disk)}), where
        for changed, inner in mutate(getattr(value, field.name), where):
            yield attrs.evolve(value, **{field.name: changed}), inner


class NamesOnly:
    """Fingerprints of files that are not there."""

    def digest_file(self, path):
        return f"sha256:{path.name}"


def dump(plan):
    world = attrs.evolve(make_world(), fingerprints=NamesOnly())
    return json.dumps(
        dump_plan(plan, layout=PrefixLayout(Path("/lab")), world=world), sort_keys=True
    )


@pytest.mark.parametrize("disk", [TemplateDisk, EmptyDisk, FileDisk])
def test_a_change_of_any_field_of_any_model_of_the_plan_is_another_key(disk):
    plan = value_of(Plan, 0, disk)
    before = dump(plan)
    seen = {}
    for changed, place in mutate(plan, None):
        if place not in NOT_IN_THE_KEY:
            found = dump(changed)
            assert found != before, f"{place} is not in the key"
            seen.setdefault(found, place)
    assert {("VMPlan", "domain"), ("NicSpec", "model"), (disk.__name__, "cache")} <= {
        *seen.values()
    }


def test_no_model_of_the_plan_is_left_out_of_that():
    names = {
        name
        for disk in (TemplateDisk, EmptyDisk, FileDisk)
        for _, (name, _) in mutate(value_of(Plan, 0, disk), None)
    }
    rooms = (models, disk_models, net_models, nic_models, vm_models)
    known = {
        name
        for room in rooms
        for name, kind in vars(room).items()
        if isinstance(kind, type) and attrs.has(kind)
    }
    assert known - names == {"DiskSpec"}  # which has no instances of its own


@given(st.data())
def test_plans_have_the_same_key_only_where_they_are_equal(data):
    one = plan_of(data.draw(prefix_specs()))
    other = plan_of(data.draw(prefix_specs()))
    if one is not None and other is not None:
        assert (dump(one) == dump(other)) == (one == other)


def plan_of(spec):
    """The plan of *spec* without deploy scripts, which are told by their content."""
    vms = tuple(attrs.evolve(found, deploy_scripts=()) for found in spec.vms)
    try:
        return plan_prefix(attrs.evolve(spec, vms=vms), uuid=NAMES_UUID)
    except LagoError:
        return None


def test_a_change_of_any_fact_of_the_host_is_another_key():
    facts = value_of(HostFacts, 0, TemplateDisk)
    facts = attrs.evolve(facts, cpu_flags=frozenset({"vmx"}))
    for field in attrs.fields(HostFacts):
        other = frozenset() if field.name == "cpu_flags" else value_of(field.type, 1, None)
        assert dump_facts(attrs.evolve(facts, **{field.name: other})) != dump_facts(facts)


SIMPLE[frozenset[str]] = (frozenset(), frozenset({"svm"}))


# -- the whole key, of a lab on fakes ------------------------------------------------------


@pytest.fixture
def lab(tmp_path):
    script = tmp_path / "setup.sh"
    script.write_text("#!/bin/sh\necho one\n")
    kernel = tmp_path / "vmlinuz"
    kernel.write_text("kernel")
    web = vm(kernel=str(kernel), metadata={"deploy-scripts": [str(script)]})
    prefix, _ = make_lab(tmp_path, lab_spec(web=web))
    return prefix


def key_of(lab, plan=None):
    return make_key(plan or lab.plan, layout=lab._layout, world=lab._world)


def test_the_key_is_the_same_as_long_as_nothing_changes(lab):
    assert key_of(lab) == key_of(lab)
    assert len(key_of(lab).digest) == 64
    other = attrs.evolve(lab.plan, uuid="f" * 32)
    assert key_of(lab, other) == key_of(lab)


def test_it_holds_the_whole_plan_and_nothing_of_the_directory(lab):
    document = json.loads(key_of(lab).document)
    planned = dump_plan(lab.plan, layout=lab._layout, world=lab._world)
    assert document["plan"] == planned
    assert str(lab.path) not in key_of(lab).document


def test_the_content_of_files_counts(lab, tmp_path):
    before = key_of(lab)
    (tmp_path / "vmlinuz").write_text("kernal")
    after = key_of(lab)
    assert find_differences(before.document, after.document) == (f"files/{tmp_path}/vmlinuz",)


def test_the_content_of_the_scripts_that_will_run_counts_and_not_their_place(lab, tmp_path):
    before = key_of(lab)
    (tmp_path / "setup.sh").write_text("changed since it was copied into the lab")
    assert key_of(lab) == before
    copy = lab._layout.scripts / name_copies(lab.plan)[str(tmp_path / "setup.sh")]
    copy.write_text("#!/bin/sh\necho two\n")
    (place,) = find_differences(before.document, key_of(lab).document)
    assert place.endswith("spec/deploy_scripts/0")


def test_the_machine_counts(lab):
    before = key_of(lab)
    lab._world.fingerprints.host["qemu"] = "9.0.0"
    assert find_differences(before.document, key_of(lab).document) == ("host/qemu",)


@pytest.mark.parametrize(
    ("render", "section"),
    [("render_domain", "domains"), ("render_network", "networks"), ("render_seed", "seeds")],
)
def test_what_is_rendered_counts_whatever_the_version_says(lab, monkeypatch, render, section):
    before = key_of(lab)
    real = getattr(keys, render)

    def changed(*args, **options):
        found = real(*args, **options)
        return found + "<!-- -->" if isinstance(found, str) else {**found, "user-data": b"new"}

    monkeypatch.setattr(keys, render, changed)
    places = find_differences(before.document, key_of(lab).document)
    assert places
    assert all(place.startswith(section) for place in places)


def test_images_count_with_all_that_is_below_them(tmp_path):
    world = make_world()
    below, top = tmp_path / "below.qcow2", tmp_path / "top.qcow2"
    world.images.create_empty(below, size=1 << 20, image_format=disk_models.DiskFormat.QCOW2)
    world.images.create_overlay(top, world.images.inspect(below))
    disk = {"type": "file", "path": str(top), "make_a_copy": True, "name": "r", "dev": "vda"}
    lab, _ = make_lab(tmp_path, lab_spec(web=vm(disks=[disk])), world=world)
    before = key_of(lab)
    below.write_text(below.read_text() + "\n")
    places = find_differences(before.document, key_of(lab).document)
    assert places == (f"files/{below}",)


def test_files_that_build_steps_read_count(tmp_path):
    source = tmp_path / "motd"
    source.write_text("hello")
    build = [{"virt-customize": {"upload": f"{source}:/etc/motd"}}]
    disk = {**vm()["disks"][0], "build": build}
    lab, _ = make_lab(tmp_path, lab_spec(web=vm(disks=[disk])))
    before = key_of(lab)
    source.write_text("goodbye")
    assert find_differences(before.document, key_of(lab).document) == (f"files/{source}",)
