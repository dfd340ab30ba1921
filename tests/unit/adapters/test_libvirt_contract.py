"""What every hypervisor does: the one over libvirt (on its test driver) and the fake."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import pytest

from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor
from lago_sdk.errors import HypervisorError
from lago_sdk.state import NetState, VMState
from lago_sdk.testing.hypervisor import FakeHypervisor

if TYPE_CHECKING:
    from lago_sdk.ports import Hypervisor

OURS = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHERS = "0f1e2d3c00000000000000000000ffff"
TAG = """<metadata>
  <l:prefix xmlns:l="urn:lago-sdk:prefix:1" uuid="{}" name="web" path="/lab"/>
</metadata>"""


def domain_xml(name="0f1e2d3c-web", owner=OURS, memory=64, key=None):
    """A domain; the same *key* is the same domain."""
    return f"""<domain type="test">
  <name>{name}</name>
  <uuid>{uuid.uuid5(uuid.NAMESPACE_URL, key or name)}</uuid>
  {TAG.format(owner) if owner else ""}
  <memory unit="MiB">{memory}</memory>
  <os><type arch="i686">hvm</type></os>
</domain>"""


def network_xml(name="0f1e-lan", owner=OURS, key=None):
    return f"""<network>
  <name>{name}</name>
  <uuid>{uuid.uuid5(uuid.NAMESPACE_URL, key or name)}</uuid>
  {TAG.format(owner) if owner else ""}
  <bridge name="{name}"/>
</network>"""


@pytest.fixture(params=["libvirt", "fake"])
def hypervisor(request):
    made = FakeHypervisor() if request.param == "fake" else LibvirtHypervisor("test:///default")
    yield made
    made.close()


def state_of(hypervisor, name="0f1e2d3c-web"):
    info = hypervisor.find_domain(name)
    return info.state if info else None


def test_it_is_a_hypervisor(hypervisor):
    typed: Hypervisor = hypervisor
    assert typed.version() >= 9_000_000


def test_a_domain_that_nobody_made_is_not_found(hypervisor):
    assert hypervisor.find_domain("0f1e2d3c-web") is None
    assert hypervisor.list_domains(OURS) == ()


def test_a_created_domain_runs(hypervisor):
    hypervisor.create_domain(domain_xml())
    info = hypervisor.find_domain("0f1e2d3c-web")
    assert info.name == "0f1e2d3c-web"
    assert info.uuid == str(uuid.uuid5(uuid.NAMESPACE_URL, "0f1e2d3c-web"))
    assert (info.state, info.reason) == (VMState.RUNNING, "booted")


def test_creating_a_running_domain_again_leaves_it_alone(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.create_domain(domain_xml(memory=128))
    assert state_of(hypervisor) is VMState.RUNNING


def test_creating_a_domain_that_is_off_starts_it_again(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.end_domain("0f1e2d3c-web")
    hypervisor.create_domain(domain_xml(memory=128))
    assert state_of(hypervisor) is VMState.RUNNING


def test_a_domain_of_that_name_with_another_uuid_is_not_replaced(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.end_domain("0f1e2d3c-web")
    with pytest.raises(HypervisorError, match="cannot start domain '0f1e2d3c-web'"):
        hypervisor.create_domain(domain_xml(key="another"))
    assert state_of(hypervisor) is VMState.SHUT_OFF


def test_domains_are_listed_by_the_prefix_they_are_tagged_with(hypervisor):
    hypervisor.create_domain(domain_xml("0f1e2d3c-web"))
    hypervisor.create_domain(domain_xml("0f1e2d3c-db"))
    hypervisor.create_domain(domain_xml("0f1e2d3c-other", owner=OTHERS))
    hypervisor.create_domain(domain_xml("0f1e2d3c-stranger", owner=None))
    hypervisor.end_domain("0f1e2d3c-db")
    for _again in range(2):
        found = {info.name: info.state for info in hypervisor.list_domains(OURS)}
        assert found == {
            "0f1e2d3c-db": VMState.SHUT_OFF,
            "0f1e2d3c-web": VMState.RUNNING,
        }
    assert [info.name for info in hypervisor.list_domains(OTHERS)] == ["0f1e2d3c-other"]


def test_a_domain_can_be_ended_twice_and_when_it_never_was(hypervisor):
    hypervisor.create_domain(domain_xml())
    for _again in range(2):
        hypervisor.end_domain("0f1e2d3c-web")
        assert state_of(hypervisor) is VMState.SHUT_OFF
    hypervisor.end_domain("nobody")


def test_a_guest_is_asked_to_shut_down(hypervisor):
    hypervisor.create_domain(domain_xml())
    for _again in range(2):
        hypervisor.shutdown_domain("0f1e2d3c-web")
        assert state_of(hypervisor) is VMState.SHUT_OFF
    hypervisor.shutdown_domain("nobody")


def test_a_domain_is_suspended_and_resumed_however_often(hypervisor):
    hypervisor.create_domain(domain_xml())
    for _again in range(2):
        hypervisor.suspend_domain("0f1e2d3c-web")
        assert state_of(hypervisor) is VMState.PAUSED
        assert hypervisor.find_domain("0f1e2d3c-web").reason == "by user"
    for _again in range(2):
        hypervisor.resume_domain("0f1e2d3c-web")
        assert state_of(hypervisor) is VMState.RUNNING


def test_a_domain_is_given_memory_and_gives_it_back(hypervisor):
    hypervisor.create_domain(domain_xml())
    most = hypervisor.get_memory("0f1e2d3c-web")
    hypervisor.set_memory("0f1e2d3c-web", most // 2)
    assert hypervisor.get_memory("0f1e2d3c-web") == most // 2
    with pytest.raises(HypervisorError):
        hypervisor.set_memory("0f1e2d3c-web", most + 1)
    hypervisor.set_memory("0f1e2d3c-web", most)
    hypervisor.end_domain("0f1e2d3c-web")
    with pytest.raises(HypervisorError):
        hypervisor.set_memory("0f1e2d3c-web", most)


def test_a_domain_that_reboots_runs_on(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.reboot_domain("0f1e2d3c-web")
    assert state_of(hypervisor) is VMState.RUNNING


def test_a_reboot_that_was_before_is_not_told(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.reboot_domain("0f1e2d3c-web")
    with hypervisor.watch_reboot("0f1e2d3c-web") as has_rebooted:
        assert not has_rebooted()


@pytest.mark.parametrize("verb", ["suspend", "resume", "reboot", "reset"])
def test_what_needs_a_running_domain_is_refused_by_one_that_is_off(hypervisor, verb):
    hypervisor.create_domain(domain_xml())
    hypervisor.end_domain("0f1e2d3c-web")
    for name in ("0f1e2d3c-web", "nobody"):
        with pytest.raises(HypervisorError):
            getattr(hypervisor, f"{verb}_domain")(name)


@pytest.mark.parametrize("name", ["0f1e2d3c-web", "nobody"])
def test_the_power_button_is_in_the_domains_description(hypervisor, name):
    with_acpi = domain_xml().replace("<os>", "<features><acpi/></features><os>")
    hypervisor.create_domain(with_acpi)
    if name == "nobody":
        with pytest.raises(HypervisorError):
            hypervisor.has_power_button(name)
    else:
        assert hypervisor.has_power_button(name)


@pytest.mark.parametrize("running", [True, False])
def test_a_removed_domain_is_gone(hypervisor, running):
    hypervisor.create_domain(domain_xml())
    if not running:
        hypervisor.end_domain("0f1e2d3c-web")
    for _again in range(2):
        hypervisor.remove_domain("0f1e2d3c-web")
        assert hypervisor.find_domain("0f1e2d3c-web") is None
    assert hypervisor.list_domains(OURS) == ()


def test_a_removed_domain_can_be_created_again(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.remove_domain("0f1e2d3c-web")
    hypervisor.create_domain(domain_xml())
    assert state_of(hypervisor) is VMState.RUNNING


def test_a_network_that_nobody_made_is_not_found(hypervisor):
    assert hypervisor.find_network("0f1e-lan") is None
    assert hypervisor.list_networks(OURS) == {}


def test_a_created_network_is_up_and_listed(hypervisor):
    for _again in range(2):
        hypervisor.create_network(network_xml())
        assert hypervisor.find_network("0f1e-lan") is NetState.UP
    hypervisor.create_network(network_xml("0f1e-other", owner=OTHERS))
    hypervisor.create_network(network_xml("stranger", owner=None))
    assert hypervisor.list_networks(OURS) == {"0f1e-lan": NetState.UP}


def test_a_removed_network_is_gone(hypervisor):
    hypervisor.create_network(network_xml())
    for _again in range(2):
        hypervisor.remove_network("0f1e-lan")
        assert hypervisor.find_network("0f1e-lan") is None
    assert hypervisor.list_networks(OURS) == {}


@pytest.mark.parametrize("make", ["create_domain", "create_network"])
def test_what_is_no_libvirt_xml_is_refused(hypervisor, make):
    with pytest.raises(HypervisorError):
        getattr(hypervisor, make)("<volume><name>x</name></volume>")


@pytest.mark.parametrize("count", [4])
def test_many_threads_may_do_the_same_at_once(hypervisor, count):
    errors = []
    together = threading.Barrier(count)

    def live():
        try:
            for _again in range(5):
                together.wait(10)
                hypervisor.create_network(network_xml())
                hypervisor.create_domain(domain_xml())
                hypervisor.list_domains(OURS)
                hypervisor.list_networks(OURS)
                together.wait(10)
                hypervisor.end_domain("0f1e2d3c-web")
                hypervisor.remove_domain("0f1e2d3c-web")
                hypervisor.remove_network("0f1e-lan")
        except Exception as error:  # noqa: BLE001 - told to the test
            together.abort()
            errors.append(error)

    threads = [threading.Thread(target=live) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert hypervisor.find_domain("0f1e2d3c-web") is None
    assert hypervisor.find_network("0f1e-lan") is None


def test_a_picture_is_taken_of_what_runs(hypervisor):
    hypervisor.create_domain(domain_xml())
    picture = hypervisor.take_picture("0f1e2d3c-web")
    assert picture.mime in {"image/png", "image/x-portable-pixmap"}
    assert picture.data.startswith((b"\x89PNG", b"P6"))
    assert hypervisor.find_display_server("0f1e2d3c-web") is None
    with pytest.raises(HypervisorError):
        hypervisor.take_picture("nobody")


def test_a_nic_that_is_not_there_has_no_device(hypervisor):
    hypervisor.create_domain(domain_xml())
    assert hypervisor.find_nic_device("0f1e2d3c-web", "52:54:00:00:00:01") is None


def test_counters_are_those_of_our_domains(hypervisor):
    hypervisor.create_domain(domain_xml())
    hypervisor.create_domain(domain_xml("other", owner=OTHERS))
    found = hypervisor.read_statistics(OURS)
    assert found.keys() == {"0f1e2d3c-web"}
    assert found["0f1e2d3c-web"].state is VMState.RUNNING
