"""The template debian-12 on a real VM: its seed, its services, its disk and its power button."""

from collections.abc import Iterator

import pytest

from lago_sdk import VM, Config, Prefix, VMState, get_template_info

pytestmark = [
    pytest.mark.functional,
    pytest.mark.root_only,
    pytest.mark.private_only,
    pytest.mark.timeout(600),
]

CLOUD_INIT_SECONDS = 240.0
"""After ssh answers; other VMs may share the processor."""


@pytest.fixture(scope="module")
def server(debian_lab: Prefix) -> VM:
    """The shared VM, when cloud-init is through with it."""
    vm = debian_lab.vms["server"]
    vm.ssh("cloud-init status --wait", timeout=CLOUD_INIT_SECONDS).check()
    return vm


def tell(vm: VM, command: str) -> str:
    """Run *command* in the guest and return what it prints."""
    return vm.ssh(command, timeout=60).check().out.strip()


def addresses(vm: VM) -> Iterator[tuple[str, str]]:
    """MAC and first IPv4 address of each nic, as the guest sees them."""
    for line in tell(vm, "cat /sys/class/net/eth*/address").splitlines():
        device = tell(vm, f"basename $(dirname $(grep -l {line} /sys/class/net/*/address))")
        yield line, tell(vm, f"ip -o -4 addr show dev {device}").split()[3].partition("/")[0]


def test_it_is_made_of_packages(debian: str, base_config: Config, server: VM) -> None:
    facts = get_template_info(debian, config=base_config).template.image.metadata
    assert facts["cloud-init"] is True
    assert facts["guest-agent"] is True
    assert facts["kernel"] == tell(server, "uname -r")
    packages = facts["packages"]
    assert isinstance(packages, dict)
    assert packages["systemd"] == tell(server, "dpkg-query -Wf '${Version}' systemd")


def test_cloud_init_has_run_the_seed(debian_lab: Prefix, server: VM) -> None:
    assert tell(server, "cloud-init status") == "status: done"
    assert tell(server, "hostname") == "server"
    assert tell(server, "hostname -f").startswith("server.")
    assert tell(server, "wc -l < /root/.ssh/authorized_keys") == "1"
    assert tell(server, "getent shadow root | cut -d: -f2") in {"*", "!*", "!"}
    assert tell(server, "grep -c Traceback /var/log/cloud-init.log || true") == "0"


def test_every_nic_has_its_address(debian_lab: Prefix, server: VM) -> None:
    found = dict(addresses(server))
    assert found == {nic.mac: str(nic.ip) for nic in server.nics}
    assert len(found) == 2
    gateway = debian_lab.nets["lan"].gateway
    assert tell(server, "ip -4 route show default").startswith(f"default via {gateway} dev eth0")
    assert tell(server, "getent hosts server | wc -l") == "1"


def test_systemd_is_content(server: VM) -> None:
    assert tell(server, "systemctl --failed --no-legend --plain") == ""
    for unit in ("qemu-guest-agent", "systemd-logind", "systemd-networkd", "ssh"):
        assert tell(server, f"systemctl is-active {unit}") == "active"
    assert server.agent.os_info().version_id == "12"
    # Programs that write logs and caches wait for their directories.
    tell(server, "ls -d /var/log/apt /var/cache/apt/archives/partial")


def test_the_root_file_system_fills_a_larger_disk(server: VM) -> None:
    disk = int(tell(server, "cat /sys/class/block/vda/size")) * 512
    assert disk == 6 << 30
    size = int(tell(server, "df --output=size -B1 / | tail -1"))
    assert disk - size < 200 << 20  # what ext4 keeps for itself


def test_compiled_python_is_taken_as_it_is(server: VM) -> None:
    # cloud-init has run as root: what it had found invalid it would have written anew.
    modules = "/usr/lib/python3/dist-packages/cloudinit"
    assert int(tell(server, f"find {modules} -name '*.pyc' | wc -l")) > 50
    assert tell(server, f"find {modules} -name '*.pyc' -newermt 2025-01-01") == ""


def test_it_obeys_the_power_button_and_boots_again(server: VM) -> None:
    before = tell(server, "cat /proc/sys/kernel/random/boot_id")
    instance = tell(server, "readlink -f /var/lib/cloud/instance")
    tell(server, "echo kept > /root/kept")
    server.shutdown()
    assert server.state is VMState.DOWN
    server.start()
    assert tell(server, "cat /proc/sys/kernel/random/boot_id") != before
    assert tell(server, "cat /root/kept; rm /root/kept") == "kept"
    assert tell(server, "hostname") == "server"
    server.ssh("cloud-init status --wait", timeout=CLOUD_INIT_SECONDS).check()
    assert tell(server, "readlink -f /var/lib/cloud/instance") == instance
    assert tell(server, "systemctl --failed --no-legend --plain") == ""
