"""Three roads to a command: a broken network is looked into by console and by guest agent."""

import os
import pty
import select
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from lago_sdk import (
    AgentError,
    AgentState,
    CommandTimeoutError,
    Config,
    ConsoleError,
    Prefix,
    Road,
    VMNotRunningError,
)

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
SOLO = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT]}
SPEC = {"domains": {"solo": SOLO}, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("roads") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture
def vm(lab):
    return lab.vms["solo"]


@pytest.mark.root_only
class TestConsole:
    def test_code_and_outputs_come_back(self, vm):
        result = vm.console.run("echo out; echo err >&2; exit 3")
        assert (result.code, result.out, result.err) == (3, "out\n", "err\n")
        assert result.via is Road.CONSOLE

    def test_bytes_and_kernel_messages_do_no_harm(self, vm):
        noise = "(for n in 1 2 3 4 5 6 7 8 9; do echo '<1>noise' > /dev/kmsg; done) &"
        command = (
            f"echo 8 > /proc/sys/kernel/printk; {noise} od -An -v -tx1 | tr -d ' \\n'; seq 500"
        )
        result = vm.console.run(command, input=bytes(range(256)))
        expected = "".join(f"{n:02x}" for n in range(256))
        assert result.out == expected + "".join(f"{n}\n" for n in range(1, 501))

    def test_a_broken_network_is_looked_into_and_mended(self, vm):
        assert vm.run("true").via is Road.SSH
        vm.ssh("(sleep 0.2; ip link set eth0 down) > /dev/null 2>&1 &").check()
        time.sleep(1)
        begin = time.monotonic()
        found = vm.run("ip link show eth0")
        assert time.monotonic() - begin < 30
        assert found.via is Road.CONSOLE
        assert "UP" not in found.check().out
        vm.run("ip link set eth0 up", via="console").check()
        vm.wait_for.ssh(timeout=60)
        assert vm.run("hostname").via is Road.SSH

    def test_a_command_that_hangs_is_interrupted(self, vm):
        with pytest.raises(CommandTimeoutError):
            vm.console.run("sleep 100", timeout=5)
        deadline = time.monotonic() + 30
        while vm.console.run("pidof sleep").code != 1:  # busybox's init reaps once a second
            assert time.monotonic() < deadline

    def test_what_is_typed_is_expected(self, vm):
        vm.console.send("echo $((6*7))x\r")
        assert vm.console.expect(r"^(\d+)x", 20)[1] == "42"
        with vm.console.session() as session:
            session.send("echo $((6*8))x\r")
            assert session.expect(r"^(\d+)x", 20)[1] == "48"

    def test_one_user_at_a_time(self, vm):
        with vm.console.session() as session:
            with pytest.raises(ConsoleError, match=f"process {os.getpid()}"):
                vm.console.run("true")
            assert vm.console.run("echo mine", force=True).out == "mine\n"
            with pytest.raises(ConsoleError, match="took it over"):
                session.send("x")

    def test_the_log_is_followed(self, vm):
        lines = vm.console.follow()
        found = []
        reader = threading.Thread(target=lambda: found.extend(next(lines) for _ in range(2)))
        reader.start()
        time.sleep(0.3)
        vm.ssh("printf 'one\\ntwo\\n' > /dev/ttyS0").check()
        reader.join(20)
        assert [line[-3:] for line in found] == ["one", "two"]
        assert any("two" in line for line in vm.console.log.read_text().splitlines())

    def test_a_terminal_is_attached_until_the_escape_key(self, lab):
        shown = sit_at_console(lab, b"echo $((40+3))x\r", until=b"43x")
        assert b"43x" in shown

    def test_a_guest_without_agent_is_told(self, vm):
        assert vm.agent.state is AgentState.DISCONNECTED
        assert not vm.agent.is_alive()
        with pytest.raises(AgentError, match="nobody in the guest has opened its port"):
            vm.agent.run("true")

    def test_a_vm_that_goes_off_ends_what_follows_it(self, lab, vm):
        lines = vm.console.follow()
        reader = threading.Thread(target=lambda: list(lines))
        reader.start()
        lab.stop()
        reader.join(20)
        assert not reader.is_alive()
        with pytest.raises(VMNotRunningError):
            vm.console.run("true")
        with pytest.raises(VMNotRunningError):
            vm.run("true")


@pytest.mark.root_only
@pytest.mark.private_only
class TestAgent:
    @pytest.fixture
    def agent(self, debian_lab):
        return debian_lab.vms["server"].agent

    def test_commands(self, agent):
        assert agent.is_alive()
        result = agent.run("echo out; echo err >&2; cat; exit 3", input="in\n")
        assert (result.code, result.out, result.err) == (3, "out\nin\n", "err\n")
        assert agent.run(["echo", "a  b", "$HOME"], env={"A": "1"}).out == "a  b $HOME\n"
        assert agent.run(["/no/such"]).code == 127

    def test_output_larger_than_a_message(self, agent):
        assert len(agent.run("head -c 5000000 /dev/zero").out) == 5_000_000
        assert agent.run("wc -c", input=b"x" * 300_000).out == "300000\n"

    def test_a_command_that_hangs_is_ended(self, agent):
        with pytest.raises(CommandTimeoutError) as caught:
            agent.run("echo so far; sleep 100", timeout=2)
        assert caught.value.out == "so far\n"
        time.sleep(1)
        assert agent.run("pgrep -x sleep").code == 1

    def test_files(self, agent):
        agent.write_file("/root/note", b"\0\1" * 40_000, mode=0o600)
        assert agent.read_file("/root/note") == b"\0\1" * 40_000
        assert agent.run("stat -c %a /root/note").out == "600\n"
        agent.write_file("/root/other", "text")
        assert agent.run("stat -c %a /root/other; ls -A /dev/shm | wc -l").out == "644\n2\n"
        with pytest.raises(AgentError, match="No such file"):
            agent.read_file("/root/nothing")
        with pytest.raises(AgentError, match="cannot be written"):
            agent.write_file("/no/such", "x")

    def test_what_the_guest_tells(self, debian_lab, agent):
        vm = debian_lab.vms["server"]
        addresses = {str(a.ip) for nic in agent.interfaces() for a in nic.addresses}
        assert vm.ip in addresses
        assert agent.os_info().id == "debian"

    def test_file_systems_are_thawed_in_any_case(self, agent):
        def freeze_and_fail():
            with agent.frozen() as count:
                assert count >= 1
                agent.run("true")

        with pytest.raises(AgentError, match="frozen"):
            freeze_and_fail()
        agent.run("echo > /root/written").check()

    def test_the_clock_is_set(self, agent):
        agent.set_time(datetime(2030, 1, 1, tzinfo=UTC))
        assert agent.run("date -u +%Y").out == "2030\n"
        agent.set_time()
        assert agent.run("date -u +%Y").out == f"{datetime.now(UTC).year}\n"

    def test_a_broken_network_is_looked_into(self, debian_lab, agent):
        vm = debian_lab.vms["server"]
        agent.run("ip link set eth0 down").check()
        found = vm.run("cat /sys/class/net/eth0/flags")
        assert found.via is Road.AGENT
        assert int(found.out, 16) & 1 == 0
        agent.run("ip link set eth0 up").check()
        vm.wait_for.ssh(timeout=60)

    def test_a_console_without_password_is_told(self, debian_lab):
        with pytest.raises(ConsoleError, match="root has no password"):
            debian_lab.vms["server"].console.run("true")

    def test_an_agent_that_hangs_is_told(self, debian_lab, agent):
        vm = debian_lab.vms["server"]
        vm.ssh("pkill -STOP qemu-ga").check()
        try:
            with pytest.raises(AgentError, match="does not answer"):
                agent.ping()
        finally:
            vm.ssh("pkill -CONT qemu-ga").check()
        agent.ping()


def sit_at_console(lab, typed, *, until):
    """Run ``lagoctl console`` on a terminal, type, and leave; returns what was shown."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), "console", "solo"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    shown, begin, typing = b"", time.monotonic(), 1.0
    while until not in shown and time.monotonic() - begin < 30:
        if time.monotonic() - begin > typing:  # what is typed before it is attached is lost
            os.write(master, typed)
            typing += 3
        if select.select([master], [], [], 0.2)[0]:
            shown += os.read(master, 4096)
    os.write(master, b"\x1d")
    assert process.wait(20) == 0
    os.close(master)
    return shown
