"""A template made of a recipe file is built and booted."""

from pathlib import Path

import pytest

from functional.conftest import EXAMPLES, PrefixMaker
from lago_sdk import Config, build_template

# It fetches packages, and the sandbox of the system host has no way out.
pytestmark = [
    pytest.mark.functional,
    pytest.mark.root_only,
    pytest.mark.private_only,
    pytest.mark.timeout(300),
]


def test_tiny_with_packages_and_files(base_config: Config, make_prefix: PrefixMaker) -> None:
    recipe = EXAMPLES / "recipes" / "toolbox.yaml"
    template = build_template(recipe, config=base_config)
    assert build_template(recipe, config=base_config) == template
    assert template.image.metadata["purpose"] == "looking at networks"
    disk = {"type": "template", "template_name": template.name, "name": "root", "dev": "vda"}
    solo = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [disk]}
    prefix = make_prefix({"domains": {"solo": solo}, "nets": {"lan": {}}})
    prefix.start()
    vm = prefix.vms["solo"]
    assert vm.ssh("cat /etc/motd").check().out.startswith("A guest to look at networks")
    assert "Link" in vm.ssh("ethtool eth0").check().out
    # rc.local has started it, and it needs libraries that the base has not.
    vm.ssh("while [ ! -e /run/lago-ready ]; do usleep 50000; done").check()
    assert vm.ssh("echo hello | nc 127.0.0.1 7", timeout=30).check().out == "hello\n"
    assert Path(template.image.path).stat().st_blocks * 512 < 200 << 20
