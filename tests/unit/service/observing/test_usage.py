"""What VMs use: counters and rates."""

from itertools import pairwise

import attrs
import pytest
from fake_labs import domain, make_lab

from lago_sdk.errors import LagoError, VMError, VMNotFoundError
from lago_sdk.ports import DomainStatistics
from lago_sdk.state import VMState

BUSY = DomainStatistics(
    state=VMState.RUNNING,
    cpu_seconds=10.0,
    vcpus=2,
    memory=64 << 20,
    resident=80 << 20,
    disk_read=1000,
    disk_written=2000,
    net_received=300,
    net_sent=400,
)


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    world.hypervisor.put_statistics(domain(prefix, "web"), BUSY)
    return prefix, world


def test_all_vms_are_read_by_one_call(lab):
    prefix, world = lab
    before = world.hypervisor.count("read_statistics")
    web, db = prefix.usage()
    assert world.hypervisor.count("read_statistics") == before + 1
    assert (web.name, web.state, web.cpu_seconds, web.memory) == (
        "web",
        VMState.RUNNING,
        10.0,
        64 << 20,
    )
    assert (db.name, db.cpu_seconds) == ("db", 0.0)
    assert prefix.usage(["db"]) == (attrs.evolve(db, time=prefix.usage("db")[0].time),)
    with pytest.raises(VMNotFoundError):
        prefix.usage(["wev"])


def test_a_vm_that_is_off_uses_nothing(lab):
    prefix, _ = lab
    prefix.stop(["web"])
    assert prefix.vms["web"].usage.cpu_seconds == 0
    prefix.stop()
    assert {usage.state for usage in prefix.usage()} == {VMState.DOWN}


def test_rates_are_what_was_used_in_the_time_between(lab):
    prefix, world = lab
    before = prefix.vms["web"].usage
    more = attrs.evolve(BUSY, cpu_seconds=11.0, disk_written=6000, net_sent=500)
    world.hypervisor.put_statistics(domain(prefix, "web"), more)
    world.clock.sleep(2)
    load = prefix.vms["web"].usage.since(before)
    assert (load.cpu_percent, load.disk_write_rate, load.net_send_rate) == (50.0, 2000.0, 50.0)
    assert (load.disk_read_rate, load.net_receive_rate) == (0.0, 0.0)


def test_there_is_no_rate_without_two_looks_at_the_same_run(lab):
    prefix, world = lab
    before = prefix.vms["web"].usage
    assert before.since(None).cpu_percent is None
    assert before.since(before).cpu_percent is None
    world.hypervisor.put_statistics(
        domain(prefix, "web"), attrs.evolve(BUSY, cpu_seconds=0.5, disk_read=5000)
    )
    world.clock.sleep(1)
    assert prefix.vms["web"].usage.since(before).disk_read_rate is None
    prefix.stop(["web"])
    assert prefix.vms["web"].usage.since(before).cpu_percent is None


def test_watching_looks_once_in_each_interval(lab):
    prefix, _ = lab
    watch = prefix.watch_usage(5, ["web"])
    times = [next(watch)[0].usage.time for _ in range(3)]
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))
    for interval in (0, -1, 1e9):
        with pytest.raises(LagoError, match="nothing can be watched every"):
            prefix.watch_usage(interval)


def test_whoever_waits_can_end_the_watch(lab):
    prefix, _ = lab

    def leave(_seconds):
        raise EOFError

    with pytest.raises(EOFError):
        next(prefix.watch_usage(1, wait=leave))


def test_somebody_elses_vm_is_not_counted(tmp_path):
    from fake_labs import lab_spec, vm

    spec = lab_spec(web=vm(), far=vm(**{"vm-provider": "ssh"}))
    prefix, _ = make_lab(tmp_path, spec)
    assert [usage.name for usage in prefix.usage()] == ["web"]
    with pytest.raises(VMError, match="nobody counts what 'far' uses"):
        _ = prefix.vms["far"].usage
