"""Services in guests: which manager is asked, what it is asked, and what its answers mean."""

import json
import shlex

import pytest
from fake_labs import lab_spec, make_lab, vm

from lago_sdk import CommandResult, Prefix, ServiceError, ServiceState
from lago_sdk.service.provisioning.providers import Containers, Systemd

SHOW = "systemctl show --property LoadState --property ActiveState --property SubState --"
SYSTEMD = "test -d /run/systemd/system"
INIT = "test -d /etc/init.d"


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    prefix.start()
    return prefix.vms["web"], world.guests["web"]


def show(load, active, sub):
    return f"LoadState={load}\nActiveState={active}\nSubState={sub}\n"


def use_systemd(guest, service="nginx", state=("loaded", "active", "running")):
    guest.answer(SYSTEMD)
    guest.answer(f"{SHOW} {service}", out=show(*state))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (("loaded", "active", "running"), ServiceState.ACTIVE),
        (("loaded", "active", "exited"), ServiceState.ACTIVE),
        (("loaded", "reloading", "reload"), ServiceState.ACTIVE),
        (("loaded", "activating", "start-pre"), ServiceState.ACTIVE),
        (("loaded", "activating", "auto-restart"), ServiceState.INACTIVE),
        (("loaded", "inactive", "dead"), ServiceState.INACTIVE),
        (("loaded", "failed", "failed"), ServiceState.INACTIVE),
        (("masked", "inactive", "dead"), ServiceState.INACTIVE),
        (("not-found", "inactive", "dead"), ServiceState.MISSING),
        (("not-found", "active", "running"), ServiceState.ACTIVE),
    ],
)
def test_what_systemd_says(lab, state, expected):
    web, guest = lab
    use_systemd(guest, state=state)
    nginx = web.service("nginx")
    assert nginx.state is expected
    assert nginx.exists() is (expected is not ServiceState.MISSING)
    assert nginx.is_alive() is (expected is ServiceState.ACTIVE)


def test_the_manager_is_found_once_and_remembered_by_the_prefix(lab):
    web, guest = lab
    use_systemd(guest)
    for _again in range(2):
        assert web.service("nginx").is_alive()
    assert [call.command for call in guest.calls].count(SYSTEMD) == 1
    record = web.console_log.parent.parent / "service-providers.json"
    assert json.loads(record.read_text()) == {"web": "systemd"}


def test_init_scripts_are_asked_where_there_is_no_systemd(lab):
    web, guest = lab
    guest.answer(SYSTEMD, code=1)
    guest.answer(INIT)
    guest.answer("test -x /etc/init.d/crond")
    guest.answer("/etc/init.d/crond status", code=3)
    guest.answer("/etc/init.d/crond start")
    crond = web.service("crond")
    assert crond.state is ServiceState.INACTIVE
    assert crond.start()
    guest.answer("/etc/init.d/crond status")
    assert crond.is_alive()
    assert not crond.start()
    guest.answer("test -x /etc/init.d/crnd", code=1)
    assert not web.service("crnd").exists()


def test_the_init_file_names_the_manager(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm(service_provider="sysvinit")))
    prefix.start()
    world.guests["web"].answer("test -x /etc/init.d/crond", code=1)
    assert prefix.vms["web"].service("crond").state is ServiceState.MISSING
    assert SYSTEMD not in [call.command for call in world.guests["web"].calls]


def test_an_unknown_manager_is_explained(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(service_provider="openrc")))
    prefix.start()
    with pytest.raises(ServiceError, match="'openrc' of 'web' is not known") as caught:
        prefix.vms["web"].service("crond").start()
    assert "systemd, sysvinit" in caught.value.hint


def test_a_guest_without_any_manager_is_explained(lab):
    web, guest = lab
    for command in (SYSTEMD, INIT, "which podman", "which docker"):
        guest.answer(command, code=1)
    with pytest.raises(ServiceError, match="nothing that we know manages services on 'web'"):
        web.service("nginx").exists()


def test_a_missing_service_cannot_be_started(lab):
    web, guest = lab
    use_systemd(guest, state=("not-found", "inactive", "dead"))
    for action in (web.service("nginx").start, web.service("nginx").restart):
        with pytest.raises(ServiceError, match="'web' has no service 'nginx'"):
            action()


def test_a_failure_tells_what_the_manager_knows(lab):
    web, guest = lab
    use_systemd(guest, state=("loaded", "failed", "failed"))
    guest.answer("systemctl start -- nginx", code=1, err="Job failed.")
    status = "systemctl status --no-pager --full --lines=10 -- nginx"
    guest.answer(status, code=3, out="bind() to 0.0.0.0:80 failed")
    with pytest.raises(ServiceError, match="start of 'nginx' on 'web' failed") as caught:
        web.service("nginx").start()
    assert "bind() to 0.0.0.0:80 failed" in caught.value.hint


def test_stop_and_restart(lab):
    web, guest = lab
    use_systemd(guest)
    for action in ("stop", "restart"):
        guest.answer(f"systemctl {action} -- nginx")
    assert web.service("nginx").stop()
    web.service("nginx").restart()
    use_systemd(guest, state=("loaded", "inactive", "dead"))
    assert not web.service("nginx").stop()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\nb"])
def test_what_is_no_name_is_refused(lab, name):
    web, guest = lab
    with pytest.raises(ServiceError, match="cannot be the name of a service"):
        web.service(name).exists()
    assert guest.calls == []


class Engine:
    """What podman would answer of one running container with one active unit."""

    def __init__(self):
        self.commands = []

    def __call__(self, command):
        self.commands.append(list(command))
        line = shlex.join(command)
        answers = {
            "which podman": (0, ""),
            "podman inspect --format '{{.State.Running}}' db": (0, "true\n"),
            "podman inspect --format '{{.State.Running}}' off": (0, "false\n"),
            f"podman exec db {SHOW} postgresql": (0, show("loaded", "active", "running")),
        }
        code, out = answers.get(line, (125, ""))
        return CommandResult(command=line, code=code, out=out, err="")


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("db", ServiceState.ACTIVE),
        ("off", ServiceState.INACTIVE),
        ("off/postgresql", ServiceState.INACTIVE),
        ("none", ServiceState.MISSING),
        ("db/postgresql", ServiceState.ACTIVE),
    ],
)
def test_containers_and_the_units_in_them(service, expected):
    assert Containers().find_state(service, Engine()) is expected


def test_a_unit_of_a_container_needs_no_other_manager(lab):
    web, guest = lab
    guest.answer("which podman")
    guest.answer("podman inspect --format '{{.State.Running}}' db", code=125)
    assert not web.service("db/postgresql").exists()
    assert SYSTEMD not in [call.command for call in guest.calls]


def test_a_provider_speaks_to_the_container_it_was_made_for():
    engine = Engine()
    Systemd(("podman", "exec", "db")).is_present(engine)
    assert engine.commands == [["podman", "exec", "db", "test", "-d", "/run/systemd/system"]]


def test_what_was_remembered_is_found_by_another_process(lab):
    web, guest = lab
    use_systemd(guest)
    assert web.service("nginx").exists()
    other = Prefix.open_path(web.console_log.parent.parent)
    assert other.context.layout.service_providers.exists()
