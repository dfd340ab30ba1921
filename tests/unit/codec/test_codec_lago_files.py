"""Init files as Lago's users wrote them load, with Lago's meaning."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lago_sdk.codec import check_file, load_spec
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import (
    Bootstrap,
    DhcpRange,
    DiskFormat,
    EmptyDisk,
    FileDisk,
    NetType,
    TemplateDisk,
    TemplateType,
)
from lago_sdk.spec.management import management_nets

FILES = Path(__file__).parent / "lago_files"
WARNINGS = {
    "collect.yaml": ["odd-vm-name"],
    "ovirt.yaml": ["deprecated-key", "deprecated-key"],
    "prefix_skel.json": [],
}


def load(name):
    return load_spec(FILES / name)


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.name)
def test_each_file_loads_without_errors_and_can_be_planned(path):
    spec, problems = check_file(path)
    assert spec is not None
    assert [problem.code for problem in problems] == WARNINGS.get(path.name, [])
    assert spec.init_dir == str(FILES)
    plan_prefix(spec, uuid="0" * 32)


def test_numbers_may_be_texts():
    vm = load("tutorial.json").get_vm("server")
    assert (vm.memory, vm.vcpu) == (2048, 2)


def test_sizes_are_in_qemus_words_and_disks_are_told_apart_by_type():
    spec = load("tutorial.json")
    root, scratch = spec.get_vm("server").disks
    assert isinstance(root, TemplateDisk)
    assert isinstance(scratch, EmptyDisk)
    assert scratch.size == 101 * 1024**3
    (image,) = spec.get_vm("client").disks
    assert isinstance(image, FileDisk)
    assert image.path == "$LAGO_PREFIX_PATH/cirros.img"


def test_a_partial_address_asks_for_its_last_octet():
    plan = plan_prefix(load("tutorial.json"), uuid="0" * 32)
    assert plan.get_vm("server").nics[0].ip == IPv4Address("192.168.200.17")
    assert plan.get_vm("server").nics[0].mac == "54:52:c0:a8:c8:11"


def test_an_anchor_gives_all_and_a_merge_key_gives_what_is_missing():
    first, second = load("multi_vm_anchors.yaml").vms
    assert (first.memory, second.memory) == (64, 128)
    assert first.disks == second.disks
    assert first.nics == second.nics


def test_a_text_for_groups_is_one_group_and_words_of_yaml_1_1_are_booleans():
    spec = load("sdk_suite.yaml")
    assert spec.get_vm("vm-el73").groups == ("group1",)
    assert spec.get_vm("vm-fc24").groups == ("group1", "group2")
    assert spec.get_vm("vm-fc24").bootstrap is Bootstrap.NONE
    assert spec.get_vm("vm-el73").metadata == {"a": 1, "nested": {"b": True}}
    assert spec.get_net("net-02").dhcp == DhcpRange(start=100, end=254)


def test_a_bridge_net_that_is_not_marked_is_the_management_net_where_it_is_the_only_one():
    spec = load("bridged.json")
    assert spec.get_net("bridged-net").type is NetType.BRIDGE
    assert management_nets(spec) == ("bridged-net",)


def test_old_spellings_are_understood():
    vm = load("ovirt.yaml").get_vm("engine")
    assert vm.service_provider == "systemd"
    assert vm.deploy_scripts == ("$OVIRT_CONTRIB/setup_engine.sh",)
    assert vm.metadata == {"ovirt-role": "engine", "ovirt-engine-password": 123}
    assert vm.disks[2].format is DiskFormat.ISO


def test_versions_and_builders_keep_their_text():
    disk = load("ovirt.yaml").get_vm("host0").disks[0]
    assert isinstance(disk, TemplateDisk)
    assert disk.template_version == "1.10"
    assert disk.build[0].builder == "virt-customize"
    assert disk.build[0].options == {
        "ssh-inject": "",
        "touch": ["/root/file1", "/root/file2"],
        "v": "",
    }


def test_an_exported_prefix_has_backing_files_of_its_own():
    root, data = load("exported.yaml").get_vm("vm01").disks
    assert isinstance(root, TemplateDisk)
    assert root.template_type is TemplateType.QCOW2
    assert root.path == "$LAGO_INITFILE_PATH/vm01_root.qcow2"
    assert isinstance(data, FileDisk)
    assert data.make_a_copy


def test_keys_that_lago_wrote_itself_are_taken_silently():
    vm = load("prefix_skel.json").get_vm("vm0")
    assert vm.root_password == "123456"
    assert isinstance(vm.disks[0], FileDisk)


def test_an_ova_is_named_by_its_url():
    assert load("ova.yaml").get_vm("appliance").ova == "http://images.example/appliance.ova"


def test_deploy_scripts_keep_their_variables():
    assert load("deploy.yaml").get_vm("deploy-vm").deploy_scripts == (
        "$LAGO_PREFIX_PATH/../../scripts/first.sh",
        "${LAGO_WORKDIR_PATH}/../scripts/second.sh",
        "third.sh",
    )
