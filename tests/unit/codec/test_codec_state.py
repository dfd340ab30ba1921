"""Plans as JSON: what is read is what was written."""

import datetime as dt
import json
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.codec.free import decode_free, encode_free
from lago_sdk.codec.state import dumps_plan, loads_plan
from lago_sdk.errors import LagoError, WorkdirError
from lago_sdk.plan.models import Image
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import (
    BootDevice,
    BuildStep,
    DhcpRange,
    DiskBus,
    DiskCache,
    DiskFormat,
    EmptyDisk,
    FileDisk,
    Firmware,
    NetSpec,
    NetType,
    NicModel,
    NicSpec,
    PrefixSpec,
    ShareSpec,
    SubnetChoice,
    TemplateDisk,
    TemplateType,
    VideoModel,
    VMSpec,
)

UUID = "deadbeef0123456789abcdef01234567"

RICH = PrefixSpec(
    nets=(
        NetSpec(name="lan", dhcp=DhcpRange(start=2, end=9), dns_records={"repo": "10.0.0.1"}),
        NetSpec(
            name="wide",
            type=NetType.ROUTED,
            subnet=IPv4Network("10.0.0.0/22"),
            subnet6=IPv6Network("fd00::/64"),
            mtu=9000,
        ),
        NetSpec(name="v6", subnet=SubnetChoice.NONE),
        NetSpec(name="ext", type=NetType.BRIDGE, bridge="br0", subnet6=SubnetChoice.NONE),
    ),
    vms=(
        VMSpec(
            name="web",
            nics=(
                NicSpec(net="lan", ip="0.0.0.7", model=NicModel.E1000),
                NicSpec(net="wide", mac="52:54:00:00:00:01"),
                NicSpec(net="v6"),
                NicSpec(net="ext"),
            ),
            disks=(
                TemplateDisk(template_name="tiny", bus=DiskBus.SCSI, cache=DiskCache.UNSAFE),
                TemplateDisk(template_type=TemplateType.QCOW2, path="$X/y"),
                EmptyDisk(
                    size=1 << 40,
                    format=DiskFormat.RAW,
                    build=(BuildStep(builder="virt-customize", options={"run": ["a", "b"]}),),
                ),
                FileDisk(path="/x.iso", format=DiskFormat.ISO, metadata={"a": {"b": [1, None]}}),
            ),
            cpu_custom={"@match": "exact", "model": {"#text": "qemu64"}},
            user_data={"write_files": [{"path": "/x"}]},
            metadata={"made": dt.date(2026, 1, 2), "$odd": 1, "ratio": 0.1, "yes": True},
            artifacts=("/var/log",),
            groups=("a", "b"),
            deploy_scripts=("x.sh",),
            firmware=Firmware.EFI,
            boot=(BootDevice.NETWORK, BootDevice.DISK),
            video=VideoModel.NONE,
            shares=(ShareSpec(source="/src", tag="t", read_only=True),),
        ),
        VMSpec(name="script", user_data="#!/bin/sh\ntrue\n"),
    ),
)
IMAGES = {"tiny": Image(path="/store/tiny", size=5, digest="sha256:0", metadata={"arch": "x"})}
PLAN = plan_prefix(RICH, uuid=UUID, images=IMAGES)


def test_a_plan_comes_back_unchanged():
    assert loads_plan(dumps_plan(PLAN)) == PLAN


def test_kinds_of_values_come_back_too():
    disks = loads_plan(dumps_plan(PLAN)).vms[0].disks
    assert [type(disk.spec) for disk in disks] == [TemplateDisk, TemplateDisk, EmptyDisk, FileDisk]
    metadata = loads_plan(dumps_plan(PLAN)).vms[0].spec.metadata
    assert metadata["yes"] is True
    assert metadata["made"] == dt.date(2026, 1, 2)


def test_an_empty_plan_comes_back():
    empty = plan_prefix(PrefixSpec(), uuid=UUID)
    assert loads_plan(dumps_plan(empty)) == empty


def test_values_that_cannot_be_kept_are_refused():
    spec = PrefixSpec(vms=(VMSpec(name="web", metadata={"made": object()}),))
    with pytest.raises(LagoError, match="a value of type object cannot be kept"):
        dumps_plan(plan_prefix(spec, uuid=UUID))


def change(edit):
    document = json.loads(dumps_plan(PLAN))
    edit(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        dumps_plan(PLAN)[:-9],
        '{"version": 1}',
        '{"version": 1, "plan": 3}',
        change(lambda found: found["plan"].update(extra=1)),
        change(lambda found: found["plan"]["nets"][0].pop("name")),
        change(lambda found: found["plan"]["nets"][0].update(subnet="300.0.0.0/24")),
        change(lambda found: found["plan"]["nets"][0]["spec"].update(type="flat")),
        change(lambda found: found["plan"]["vms"][0]["disks"][0]["spec"].update(kind="tape")),
        change(lambda found: found["plan"]["vms"][0]["disks"][0]["spec"]["disk"].update(extra=1)),
        change(lambda found: found["plan"]["vms"][0]["spec"].update(metadata={"$what": 1})),
    ],
)
def test_a_damaged_plan_is_said_to_be_damaged(text):
    with pytest.raises(WorkdirError, match="the recorded plan of the prefix is damaged"):
        loads_plan(text)


def test_a_plan_of_a_later_version_says_so():
    with pytest.raises(WorkdirError, match="has version 99, and 1 is understood"):
        loads_plan('{"version": 99, "plan": {"new": "shape"}}')


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.times()
)
keys = st.none() | st.booleans() | st.integers() | st.text(st.sampled_from("$abmp"), max_size=4)
free = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(scalars, max_size=3)
        | st.frozensets(scalars, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(value=free)
def test_free_values_come_back_unchanged(value):
    found = decode_free(json.loads(json.dumps(encode_free(value))))
    assert found == value
    assert type(found) is type(value)
