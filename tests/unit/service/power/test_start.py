"""Starting: what is started, in what order, and what a failure takes back."""

import signal
import threading
import time

import attrs
import pytest
from fake_labs import domain, lab_spec, make_lab, nets_up, network, running, states, vm

from lago_sdk.config import Config
from lago_sdk.errors import (
    HostError,
    HypervisorError,
    VMNotFoundError,
    VMNotRunningError,
    WaitTimeoutError,
)
from lago_sdk.plan.facts import Accel
from lago_sdk.ports import HostKind
from lago_sdk.state import VMState
from lago_sdk.testing import FakeHost, make_world

REFUSED = HypervisorError("libvirt refuses")


def shared_world(**options):
    return make_world(host=FakeHost(kind=HostKind.SYSTEM), **options)


def fail_boot(guest, error):
    """Let the guest never answer."""

    def boot(give_up):
        raise error

    guest.boot_with(boot)


def test_a_start_brings_up_the_host_then_nets_then_vms_then_waits(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    report = prefix.start()
    assert (report.started, report.already_running, report.started_nets) == (("web",), (), ("lan",))
    assert report.changed
    assert [stage for stage, _ in world.log.stages][-4:] == [
        "start host",
        "start nets",
        "start",
        "wait for ssh",
    ]
    assert running(prefix) == {"web"}
    assert nets_up(prefix) == {"lan"}


def test_a_start_marks_what_is_below_the_disks_it_starts_on(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start(["web"])
    (path,) = world.templates.marked
    assert path == prefix.plan.get_vm("web").disks[0].backing.path
    prefix.start(["web"])
    assert world.templates.marked == [path]


def test_a_start_of_what_runs_changes_nothing(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    made = world.hypervisor.count("create_domain"), world.hypervisor.count("create_network")
    report = prefix.start()
    assert not report.changed
    assert report.already_running == ("web", "db")
    assert made == (
        world.hypervisor.count("create_domain"),
        world.hypervisor.count("create_network"),
    )
    assert world.host.calls.count("start") == 1


def test_a_start_of_some_brings_up_only_the_nets_they_need(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm("lan", "front"), db=vm("lan", "back")))
    report = prefix.start(["db"])
    assert report.started == ("db",)
    assert set(report.started_nets) == {"lan", "back"}
    assert running(prefix) == {"db"}
    assert nets_up(prefix) == {"lan", "back"}
    assert prefix.start(name for name in ("web", "db")).started == ("web",)


def test_a_name_twice_is_one_vm_and_an_unknown_one_starts_nothing(tmp_path):
    prefix, world = make_lab(tmp_path)
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        prefix.start(["db", "wbe"])
    assert world.host.calls == []
    assert prefix.start(["web", "web"]).started == ("web",)
    assert world.hypervisor.count("create_domain") == 1


def test_a_vm_that_crashed_is_started_again_and_a_paused_one_is_left_alone(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    world.hypervisor.set_domain_state(domain(prefix, "web"), VMState.CRASHED, "panicked")
    world.hypervisor.set_domain_state(domain(prefix, "db"), VMState.PAUSED, "by user")
    report = prefix.start()
    assert (report.started, report.already_running, report.paused) == (("web",), (), ("db",))
    assert states(prefix) == {"web": VMState.RUNNING, "db": VMState.PAUSED}
    assert world.log.warnings == (
        "db is paused (by user), and left so; resume it: lagoctl resume db",
    )


def test_the_second_failure_takes_back_the_first_in_reverse(tmp_path):
    """One at a time, so that what was done before the failure is known."""
    prefix, world = make_lab(tmp_path, world=make_world(config=Config(parallel_starts=1)))
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    with pytest.raises(HypervisorError, match="libvirt refuses"):
        prefix.start()
    removed = [
        name
        for method, name in world.hypervisor.calls
        if method in {"remove_domain", "remove_network"}
    ]
    assert removed == [domain(prefix, "db"), domain(prefix, "web"), network(prefix, "lan")]
    assert world.host.calls[-1] == "end"
    assert not world.host.is_up()
    assert running(prefix) == set()


def test_a_failure_leaves_alone_what_ran_before(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm("lan"), db=vm("lan", "back")))
    prefix.start(["web"])
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    with pytest.raises(HypervisorError):
        prefix.start()
    assert running(prefix) == {"web"}
    assert nets_up(prefix) == {"lan"}
    assert world.host.is_up()
    world.hypervisor.fail(domain(prefix, "db"), None)
    assert prefix.start().started == ("db",)


@pytest.mark.parametrize("count", [1, 2])
def test_an_undo_that_fails_is_told_and_the_others_still_run(tmp_path, count):
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM), config=Config(parallel_starts=1))
    prefix, _ = make_lab(tmp_path, world=world)
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    stuck = [domain(prefix, "db"), domain(prefix, "web")][:count]
    for name in stuck:
        world.hypervisor.fail(name, HypervisorError(f"{name} is stuck"), on="remove")
    with pytest.raises(HypervisorError, match="libvirt refuses"):
        prefix.start()
    assert len(world.log.warnings) == count
    for name, warning in zip(stuck, world.log.warnings, strict=True):
        assert f"{name} is stuck" in warning
        assert "destroy" in warning
    assert world.hypervisor.find_network(network(prefix, "lan")) is None


def test_an_undo_that_breaks_does_not_hide_why_the_start_failed(tmp_path):
    prefix, world = make_lab(tmp_path)
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    world.hypervisor.fail(network(prefix, "lan"), RuntimeError("a defect"), on="remove")
    with pytest.raises(HypervisorError, match="libvirt refuses"):
        prefix.start()
    assert "a defect" in world.log.warnings[0]
    assert not world.host.is_up()


def test_several_failures_come_together(tmp_path):
    prefix, world = make_lab(tmp_path)
    together = threading.Barrier(2)

    def boot(give_up):
        together.wait(10)
        raise WaitTimeoutError("no answer", stage="port 22 closed")

    for name in ("web", "db"):
        world.guests[name].boot_with(boot)
    with pytest.raises(ExceptionGroup, match="several VMs did not start") as caught:
        prefix.start()
    assert len(caught.value.exceptions) == 2
    assert running(prefix) == set()


def test_a_failure_ends_the_waits_of_the_others(tmp_path):
    prefix, world = make_lab(tmp_path)
    fail_boot(world.guests["web"], WaitTimeoutError("no answer", stage="port 22 closed"))
    world.guests["db"].boot_with(wait_until_given_up)
    with pytest.raises(WaitTimeoutError, match="no answer"):
        prefix.start()


def wait_until_given_up(give_up):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        give_up()
        time.sleep(0.005)
    raise AssertionError("nobody gave up")


def test_ctrl_c_in_the_middle_takes_back(tmp_path):
    prefix, world = make_lab(tmp_path)
    main = threading.main_thread().ident

    def interrupt(give_up):
        signal.pthread_kill(main, signal.SIGINT)
        return wait_until_given_up(give_up)

    world.guests["web"].boot_with(interrupt)
    with pytest.raises(KeyboardInterrupt):
        prefix.start()
    assert running(prefix) == set()
    assert not world.host.is_up()
    world.guests["web"].boot_with(lambda give_up: 0.1)
    assert prefix.start().started == ("web", "db")


def test_a_host_that_does_not_come_up_is_taken_down(tmp_path):
    prefix, world = make_lab(tmp_path)
    world.host.fail("start", HostError("no namespaces", hint="allow them"))
    with pytest.raises(HostError, match="no namespaces"):
        prefix.start()
    assert world.host.calls == ["start", "end"]


def test_nobody_waits_who_does_not_want_to(tmp_path):
    prefix, world = make_lab(tmp_path)
    for name in ("web", "db"):
        fail_boot(world.guests[name], AssertionError("it was waited for"))
    assert prefix.start(wait=False).started == ("web", "db")
    prefix.stop("web")
    prefix.vms["web"].start(wait=False)
    assert running(prefix) == {"web", "db"}


def test_a_definition_that_was_there_before_survives_the_failure(tmp_path):
    """With it go the snapshots that libvirt knows of."""
    prefix, world = make_lab(tmp_path, world=shared_world())
    prefix.start()
    prefix.stop()
    for name in ("web", "db"):
        fail_boot(world.guests[name], WaitTimeoutError("no answer", stage="port 22 closed"))
    with pytest.raises(Exception, match=r"no answer|several VMs"):
        prefix.start()
    assert set(states(prefix).values()) == {VMState.SHUT_OFF}


class TestBrokenHost:
    """A private host whose libvirtd has died."""

    def test_a_start_mends_it_and_keeps_what_runs(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start(["web"])
        world.host.fail("hypervisor", HostError("libvirtd has ended"))
        report = prefix.start()
        assert (report.started, report.already_running) == (("db",), ("web",))
        assert "is broken" in world.log.warnings[0]

    def test_a_start_that_fails_does_not_end_what_it_found(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start(["web"])
        world.host.fail("hypervisor", HostError("libvirtd has ended"))
        world.hypervisor.fail(domain(prefix, "db"), REFUSED)
        with pytest.raises(HypervisorError):
            prefix.start()
        assert running(prefix) == {"web"}


def test_a_net_that_does_not_start_starts_no_vm(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm("lan", "back")))
    world.hypervisor.fail(network(prefix, "back"), REFUSED)
    with pytest.raises(HypervisorError):
        prefix.start()
    assert world.hypervisor.count("create_domain") == 0
    assert nets_up(prefix) == set()


def test_somebody_elses_network_of_that_name_is_neither_used_nor_removed(tmp_path):
    prefix, world = make_lab(tmp_path, world=shared_world())
    name = network(prefix, "lan")
    theirs = f"<network><name>{name}</name></network>"
    world.hypervisor.create_network(theirs)
    with pytest.raises(HypervisorError, match="runs already"):
        prefix.start()
    prefix.destroy()
    assert world.hypervisor.get_network_xml(name) == theirs


def test_connections_to_vms_that_were_taken_back_are_closed(tmp_path):
    """Or the next command would wait for a guest that is off."""
    prefix, world = make_lab(tmp_path)
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    with pytest.raises(HypervisorError):
        prefix.start()
    assert not world.guests["web"].is_open
    with pytest.raises(Exception, match="'web' is not running"):
        prefix.vms["web"].ssh("true")


@pytest.mark.parametrize(
    ("accel", "asked", "cpus", "expected"),
    [(Accel.TCG, 0, 2, 2), (Accel.KVM, 0, 1, 4), (Accel.TCG, 3, 1, 3)],
)
def test_boots_at_once_are_bounded(tmp_path, accel, asked, cpus, expected):
    config = Config(parallel_starts=asked)
    world = make_world(host=FakeHost(accel=accel), config=config, cpus=cpus)
    names = [f"vm{number}" for number in range(6)]
    prefix, _ = make_lab(tmp_path, lab_spec(**{name: vm() for name in names}), world=world)
    now, peak, mutex = 0, 0, threading.Lock()

    def boot(give_up):
        nonlocal now, peak
        with mutex:
            now += 1
            peak = max(peak, now)
        time.sleep(0.03)
        with mutex:
            now -= 1
        return 0.03

    for name in names:
        world.guests[name].boot_with(boot)
    prefix.start()
    assert peak == expected


def test_a_vm_that_nobody_prepared_is_not_waited_for(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm(bootstrap=False)))
    fail_boot(world.guests["web"], AssertionError("nobody can log in there"))
    assert prefix.start().started == ("web",)


def test_a_dead_libvirtd_of_a_shared_host_is_told(tmp_path):
    prefix, world = make_lab(tmp_path, world=shared_world())
    world.host.fail("start", HostError("libvirtd does not answer"))
    world.host.fail("hypervisor", HostError("libvirtd does not answer"))
    with pytest.raises(HostError, match="does not answer"):
        prefix.start()


def test_a_finished_start_leaves_no_journal_and_a_failed_one_no_open_step(tmp_path):
    prefix, world = make_lab(tmp_path)
    world.hypervisor.fail(domain(prefix, "db"), REFUSED)
    with pytest.raises(HypervisorError):
        prefix.start()
    journal = prefix.path / "journal.jsonl"
    assert '"end":"failed"' in journal.read_text()
    world.hypervisor.fail(domain(prefix, "db"), None)
    prefix.start()
    assert not journal.exists()


def write_console(prefix, text):
    log = prefix.vms["web"].console_log
    log.parent.mkdir(exist_ok=True)
    log.write_text(text)


def test_a_start_puts_the_console_log_of_the_last_run_aside(tmp_path):
    prefix, _ = make_lab(tmp_path)
    write_console(prefix, "the last run")
    prefix.start()
    log = prefix.vms["web"].console_log
    assert log.with_name(f"{log.name}.1").read_text() == "the last run"


def test_the_deadline_of_a_boot_is_explained_with_the_console(tmp_path):
    prefix, world = make_lab(tmp_path)

    def boot(give_up):
        write_console(prefix, "login:\nKernel panic\n")
        raise WaitTimeoutError("no answer", stage="no route")

    world.guests["web"].boot_with(boot)
    with pytest.raises(WaitTimeoutError) as caught:
        prefix.start(["web"])
    assert caught.value.console == ("login:", "Kernel panic")
    assert "web.console.log" in str(caught.value)


def test_a_vm_that_goes_off_while_it_boots_is_not_waited_for(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))

    def boot(give_up):
        write_console(prefix, "Kernel panic\n")
        world.hypervisor.set_domain_state(domain(prefix, "web"), VMState.SHUT_OFF, "crashed")
        give_up()
        pytest.fail("the wait was not given up")

    world.guests["web"].boot_with(boot)
    with pytest.raises(VMNotRunningError, match="went off while it was waited for") as caught:
        prefix.start()
    assert "crashed" in str(caught.value)
    assert "Kernel panic" in str(caught.value)


def test_the_boot_timeout_is_the_settings_else_the_vms(tmp_path):
    asked = []

    class Guest:
        def wait(self, *, timeout, explain, give_up=None):
            asked.append((timeout, explain()))
            return 0.0

        def close(self):
            pass

    for number, config in enumerate((Config(), Config(boot_timeout=7.0))):
        world = attrs.evolve(make_world(config=config), open_guest=lambda target: Guest())
        spec = lab_spec(web=vm(boot_time_sec=42))
        prefix, _ = make_lab(tmp_path, spec, world=world, name=f"lab{number}")
        prefix.start()
    assert [seconds for seconds, _ in asked] == [42.0, 7.0]
    assert all(text.startswith("its domain is running (booted)") for _, text in asked)
