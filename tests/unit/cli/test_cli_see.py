"""The verbs by which one sees what VMs do."""

import json
import threading
import time

import pytest
from fake_labs import domain, lab_spec, make_lab, vm

from lago_sdk.ports import DomainStatistics
from lago_sdk.state import VMState


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A running prefix on fakes, which is the one that verbs work on, and its world."""
    spec = lab_spec(web=vm(graphics="vnc"), db=vm())
    prefix, world = make_lab(tmp_path, spec)
    prefix.start()
    monkeypatch.setattr("lago_sdk.Prefix.open", lambda *_, **__: prefix)
    return prefix, world


@pytest.fixture
def run(lagoctl):
    def run(*words, code=0):
        done = lagoctl(*words)
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
def impatient(monkeypatch):
    """A user who presses Control-C as soon as there is nothing else to do."""

    class Event:
        def wait(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("lago_cli.commands.see.threading.Event", Event)


@pytest.fixture
def no_keys(lab, monkeypatch):
    """Nobody presses a key, and time flies."""

    class Keys:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def wait(self, seconds):
            lab[1].clock.sleep(seconds)
            return ""

    monkeypatch.setattr("lago_cli.commands.top.Keys", Keys)


def test_screenshot_writes_a_file_named_by_the_vm(run, lab, tmp_path):
    done = run("screenshot", "web")
    assert (tmp_path / "web.png").read_bytes().startswith(b"\x89PNG")
    assert "web.png: 1 x 1 pixels" in done.stderr
    run("screenshot", "web", "other.png")
    assert (tmp_path / "other.png").exists()
    assert run("screenshot", "web", "-").stdout_bytes.startswith(b"\x89PNG")


def test_a_picture_is_not_written_on_a_terminal(run, lab, terminal):
    assert "nothing for a terminal" in run("screenshot", "web", "-", code=2).stderr
    assert "nothing for a terminal" in run("capture", "lan", "-o", "-", code=2).stderr


def test_display_tells_all_and_forwards(run, lab, impatient):
    prefix, world = lab
    password = prefix.vms["web"].graphics.password
    done = run("display", "web", "--port", "5999")
    assert f"vnc://127.0.0.1:5999\npassword: {password}\n" == done.stdout
    told = json.loads(run("display", "web", "-f", "json").stdout)
    assert told == {"kind": "vnc", "host": "127.0.0.1", "port": 40001, "password": password}
    assert all(relay.is_closed for relay in world.relays.relays)
    assert "graphics: vnc" in run("display", "db", code=2).stderr


def test_display_shows_a_window(run, lab):
    run("display", "web", "--view")
    assert len(lab[1].relays.viewed) == 1


def test_forward_prints_the_address(run, lab, impatient):
    assert run("forward", "web", "80").stdout == "127.0.0.1:40000\n"
    assert run("forward", "web", "80", "--port", "8080").stdout == "127.0.0.1:8080\n"
    run("forward", "web", "0", code=2)


def test_top_prints_a_table_for_each_look(run, lab, no_keys):
    prefix, world = lab
    statistics = DomainStatistics(state=VMState.RUNNING, cpu_seconds=1, vcpus=2, memory=64 << 20)
    world.hypervisor.put_statistics(domain(prefix, "web"), statistics)
    lines = run("top", "-n", "2", "--interval", "0.05", "web").stdout.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[:7] == ["web", "running", "0.0", "2", "64", "MiB", "0"]
    assert lines[2] == ""


def test_top_prints_a_line_of_json_for_each_look(run, lab, no_keys):
    prefix, _ = lab
    prefix.stop(["db"])
    lines = run("top", "-n", "2", "--interval", "0.05", "-f", "json").stdout.splitlines()
    assert len(lines) == 2
    vms = json.loads(lines[0])["vms"]
    assert vms["web"]["state"] == "running"
    assert (vms["db"]["cpu_seconds"], vms["db"]["cpu_percent"]) == (0, None)


def test_top_writes_in_place_on_a_terminal(run, lab, no_keys, terminal):
    done = run("top", "-n", "2", "--interval", "0.05")
    assert "\x1b[3F\x1b[J" in done.stdout


def test_top_of_nonsense_is_a_mistake(run, lab):
    assert "nothing can be watched" in run("top", "--interval", "0", code=2).stderr
    assert "no VM 'wev'" in run("top", "wev", "-n", "1", code=2).stderr


def test_capture_writes_a_file_named_by_the_net(run, lab, tmp_path):
    _, world = lab

    def pass_by():
        while not world.host.taps:
            time.sleep(0.01)
        world.host.taps[0].pass_by(b"x")

    thread = threading.Thread(target=pass_by)
    thread.start()
    done = run("capture", "lan", "--count", "1", "tcp", "port", "80")
    thread.join()
    assert world.host.taps[0].words == ("tcp", "port", "80")
    assert (tmp_path / "lan.pcap").stat().st_size == 24 + 16 + 1
    assert "lan.pcap: 1 packet in" in done.stderr
    assert done.stdout == ""


def test_capture_of_a_nic_and_of_nothing(run, lab):
    _, world = lab
    run("capture", "web", "--duration", "0.05", "-o", "-")
    assert world.host.taps[0].device.startswith("tap-")
    done = run("capture", "nothing", code=2)
    assert "there is no net and no VM 'nothing'" in done.stderr
    assert "there are: lan, web, db" in done.stderr
    assert "no nic 4" in run("capture", "web", "--nic", "4", code=2).stderr
