"""Machines elsewhere: those of the ssh provider, and those of a plugin that has power."""

import socket

import attrs
import pytest
from fake_labs import lab_spec, make_lab, states, vm

from lago_sdk.errors import LagoError, SpecError, VMError
from lago_sdk.ports import Machine, PluginKind
from lago_sdk.state import ServiceState, VMState
from lago_sdk.testing import make_world
from lago_sdk.vm import VM


def far(**changes):
    return {"vm-provider": "ssh", "ssh-host": "far.test", "nics": [], **changes}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@attrs.define
class Cloud:
    """A provider that keeps its machines in memory."""

    on: set[str] = attrs.field(factory=set)
    calls: list[tuple[str, str]] = attrs.field(factory=list)
    error: LagoError | None = None
    name = "cloud"
    has_power = True

    def find_address(self, vm):
        return f"{vm.name}.cloud", 2222

    def find_state(self, vm):
        if self.error:
            raise self.error
        return Machine(state=VMState.RUNNING if vm.name in self.on else VMState.DOWN)

    def start(self, vm):
        self.calls.append(("start", vm.name))
        was_off = vm.name not in self.on
        self.on.add(vm.name)
        return was_off

    def stop(self, vm):
        self.calls.append(("stop", vm.name))
        was_on = vm.name in self.on
        self.on.discard(vm.name)
        return was_on

    def shutdown(self, vm, *, timeout):
        self.calls.append(("shutdown", vm.name))
        return self.stop(vm)


@pytest.fixture
def cloud():
    return Cloud()


def make_cloud_lab(tmp_path, cloud, **domains):
    world = make_world()
    world.plugins.install(PluginKind.VM_PROVIDER, "cloud", lambda: cloud)
    domains = domains or {"web": vm(), "far": {"vm-provider": "cloud", "nics": []}}
    return make_lab(tmp_path, lab_spec(**domains), world=world)


class TestSSH:
    def test_it_is_dialled_from_outside(self, tmp_path, listener):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm(), far=far(**{"ssh-port": 2022})))
        machine = prefix.vms["far"]
        assert machine.state is VMState.UNKNOWN
        (status,) = [status for status in prefix.status().vms if status.name == "far"]
        assert status.reason == "refused at far.test port 2022"
        world.dial_outside.forward("far.test", 2022, to=listener)
        assert machine.state is VMState.RUNNING
        assert machine.ip == "far.test"
        assert "dial" not in world.host.calls
        machine.ssh("true")
        target = world.guests.targets["far"]
        assert (target.address, target.port, target.is_outside) == ("far.test", 2022, True)

    def test_without_ssh_host_it_is_where_its_nic_is(self, tmp_path):
        machine = far(nics=[{"net": "lan", "ip": "192.168.200.77"}])
        del machine["ssh-host"]
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(), far=machine))
        assert prefix.vms["far"].ip == "192.168.200.77"

    def test_a_key_of_the_users_own(self, tmp_path):
        (tmp_path / "key").write_text("")
        spec = lab_spec(web=vm(), far=far(**{"ssh-key": str(tmp_path / "key")}))
        prefix, world = make_lab(tmp_path, spec)
        prefix.vms["far"].ssh("true")
        assert world.guests.targets["far"].key_path == tmp_path / "key"
        assert f"IdentityFile {tmp_path}/key" in prefix.render_ssh_config(["far"])
        assert f"ansible_ssh_private_key_file={tmp_path}/key" in prefix.ansible_inventory()

    def test_start_only_waits_and_says_who_answered(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm(), far=far()))
        report = prefix.start()
        assert (report.started, report.already_running) == (("web",), ("far",))
        assert ("wait for ssh", "far") in world.log.stages
        assert prefix.start(wait=False).already_running == ("web",)

    def test_alone_it_needs_no_host(self, tmp_path):
        prefix, world = make_lab(tmp_path, {"domains": {"far": far()}, "nets": {}})
        assert prefix.start().already_running == ("far",)
        assert "start" not in world.host.calls

    @pytest.mark.parametrize("verb", ["stop", "shutdown"])
    def test_named_it_is_refused_and_else_left_alone(self, tmp_path, verb):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm(), far=far()))
        prefix.start()
        with pytest.raises(VMError, match="somebody else runs it") as caught:
            getattr(prefix, verb)(["web", "far"])
        assert caught.value.hint == "log in to it: lagoctl shell far"
        assert states(prefix)["web"] is VMState.RUNNING
        assert getattr(prefix, verb)() == ("web",)
        wish = {"stop": "stopped", "shutdown": "shut down"}[verb]
        told = f"not {wish}, as somebody else runs it: far (vm-provider: ssh)"
        assert told in [getattr(event, "message", "") for event in world.log.events]


class TestPlugin:
    def test_it_is_powered_and_reached(self, tmp_path, cloud):
        prefix, world = make_cloud_lab(tmp_path, cloud)
        assert states(prefix) == {"web": VMState.DOWN, "far": VMState.DOWN}
        report = prefix.start()
        assert report.started == ("web", "far")
        prefix.vms["far"].ssh("true")
        assert world.guests.targets["far"].address == "far.cloud"
        assert world.guests.targets["far"].port == 2222
        assert prefix.start().already_running == ("web", "far")
        assert prefix.stop(["far"]) == ("far",)
        assert states(prefix) == {"web": VMState.RUNNING, "far": VMState.DOWN}
        prefix.start(["far"])
        assert prefix.shutdown() == ("web", "far")
        assert ("shutdown", "far") in cloud.calls

    def test_a_start_that_fails_takes_it_back(self, tmp_path, cloud):
        domains = {"a": {"vm-provider": "cloud", "nics": []}}
        prefix, world = make_cloud_lab(tmp_path, cloud, **domains)
        world.guests["a"].login_error = LagoError("no login")
        with pytest.raises(LagoError, match="no login"):
            prefix.start()
        assert cloud.on == set()

    def test_one_that_cannot_tell_is_unknown(self, tmp_path, cloud):
        prefix, _ = make_cloud_lab(tmp_path, cloud)
        cloud.error = LagoError("the cloud is away")
        (status,) = [status for status in prefix.status().vms if status.name == "far"]
        assert (status.state, status.reason) == (VMState.UNKNOWN, "the cloud is away")

    def test_an_unknown_provider_is_told_before_anything_is_made(self, tmp_path):
        spec = lab_spec(web=vm(), far={"vm-provider": "clowd", "nics": []})
        with pytest.raises(SpecError, match="no vm-provider 'clowd' that works") as caught:
            make_lab(tmp_path, spec)
        (problem,) = caught.value.problems
        assert problem.path == ("domains", "far", "vm-provider")
        assert "local-libvirt, ssh" in problem.hint

    def test_one_that_is_no_longer_there_is_told(self, tmp_path, cloud):
        prefix, world = make_cloud_lab(tmp_path, cloud)
        world.plugins.install(PluginKind.VM_PROVIDER, "cloud", lambda: 7)
        assert states(prefix)["far"] is VMState.UNKNOWN
        with pytest.raises(VMError, match="nothing here provides 'far'"):
            prefix.start(["far"])


class TestTypes:
    def make(self, tmp_path, value):
        world = make_world()
        world.plugins.install(PluginKind.VM_TYPE, "fine", value)
        return make_lab(tmp_path, lab_spec(web=vm(**{"vm-type": "fine"}), db=vm()), world=world)

    def test_handles_are_of_the_plugins_class(self, tmp_path):
        class Fine(VM):
            pass

        prefix, _ = self.make(tmp_path, Fine)
        assert type(prefix.vms["web"]) is Fine
        assert type(prefix.vms["db"]) is VM

    def test_what_makes_no_vm_is_left_out(self, tmp_path):
        prefix, world = self.make(tmp_path, lambda prefix, plan: "a VM")
        assert type(prefix.vms["web"]) is VM
        error = world.plugins.problems[PluginKind.VM_TYPE, "fine"]
        assert "makes no VM, but str" in str(error)

    def test_an_unknown_type_is_a_plain_vm_and_a_warning(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm(**{"vm-type": "fine"})))
        assert type(prefix.vms["web"]) is VM
        (warning,) = world.log.warnings
        assert warning.startswith("no plugin knows the vm-type 'fine' of 'web'")


class Fake:
    name = "fake"

    def is_present(self, run):
        return True

    def find_state(self, service, run):
        return ServiceState.ACTIVE

    def act(self, action, service, run): ...

    def explain(self, service, run): ...


@pytest.mark.parametrize("changes", [{}, {"service_provider": "fake"}])
def test_service_providers_of_plugins(tmp_path, changes):
    world = make_world()
    world.plugins.install(PluginKind.SERVICE_PROVIDER, "fake", Fake)
    world.plugins.install(PluginKind.SERVICE_PROVIDER, "broken", Fake)
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(**changes)), world=world)
    prefix.start()
    assert prefix.vms["web"].service("x").state is ServiceState.ACTIVE
    is_asked = (PluginKind.SERVICE_PROVIDER, "broken") in world.plugins.problems
    assert is_asked == (not changes)
