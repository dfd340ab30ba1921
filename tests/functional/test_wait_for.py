"""Waits for real guests: what ends them, and what they tell when nothing does."""

from collections.abc import Iterator

import pytest

from functional.conftest import Lagoctl
from lago_sdk import Config, Prefix, VMState, WaitTimeoutError


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str) -> Iterator[Prefix]:
    """One running VM."""
    disk = {"type": "template", "name": "root", "dev": "vda", "template_name": tiny}
    web = {"memory": 128, "nics": [{"net": "lan"}], "disks": [disk]}
    net = {"type": "nat", "management": True, "dhcp": {"start": 100, "end": 254}}
    spec = {"domains": {"web": web}, "nets": {"lan": net}}
    workdir = tmp_path_factory.mktemp("wait") / "workdir"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


def test_what_comes_later_is_seen_soon(lab: Prefix) -> None:
    web = lab.vms["web"]
    web.ssh(
        "(sleep 2; echo 'ready in 7 ms' >> /tmp/app.log; touch /tmp/there;"
        " echo 'up: web' > /dev/console; nc -l -p 8080 > /dev/null)"
        " > /dev/null 2>&1 < /dev/null &"
    ).check()
    assert web.wait_for.log("/tmp/app.log", r"ready in \d+ ms") == "ready in 7 ms"
    web.wait_for.file("/tmp/there")
    assert "up: web" in web.wait_for.console("up: web")
    web.wait_for.port(8080)
    assert web.wait_for.command("cat /tmp/app.log").out == "ready in 7 ms\n"
    web.wait_for.ssh()


def test_the_deadline_tells_how_far_it_came(lab: Prefix) -> None:
    web = lab.vms["web"]
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.port(81, timeout=5)
    assert caught.value.stage == f"{web.ip} answers, but nothing listens on port 81"
    assert "its domain is running" in caught.value.message
    assert caught.value.console
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.command("sleep 100", timeout=2)
    assert caught.value.stage == "'sleep 100' still runs"


def test_a_guest_that_asked_for_its_address_is_told(lab: Prefix) -> None:
    web = lab.vms["web"]
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.file("/nowhere", timeout=5)
    assert f"it got {web.ip} by DHCP" in caught.value.message


def test_from_the_shell(lab: Prefix, lagoctl: Lagoctl) -> None:
    workdir = ("--workdir-path", str(lab.path.parent))
    assert "port 22: after" in lagoctl("wait", "web", "port", "22", *workdir).stderr
    assert lagoctl("wait", "web", "command", "hostname", *workdir).stdout == "web\n"
    late = lagoctl("wait", "web", "file", "/nowhere", "--timeout", "5", *workdir, code=2)
    assert "reached: there is no '/nowhere' in the guest" in late.stderr
    assert "Traceback" not in late.stderr
    for words, told in (
        (("port", "http"), "'http' is no TCP port"),
        (("state", "asleep"), "'asleep' is no state of a VM"),
        (("log", "/x"), "lagoctl wait VM log PATH PATTERN"),
        (("console", "("), "is no regular expression"),
    ):
        assert told in lagoctl("wait", "web", *words, *workdir, code=2).stderr


@pytest.mark.root_only
@pytest.mark.private_only
def test_units_cloud_init_and_the_agent(debian_lab: Prefix) -> None:
    server = debian_lab.vms["server"]
    server.wait_for.cloud_init()
    server.wait_for.agent()
    server.wait_for.unit("ssh")
    with pytest.raises(WaitTimeoutError) as caught:
        server.wait_for.unit("no-such-unit", timeout=10)
    assert caught.value.stage == "the service 'no-such-unit' is missing"


def test_a_guest_that_powers_off_is_waited_for(lab: Prefix) -> None:
    web = lab.vms["web"]
    web.ssh("(sleep 1; poweroff) > /dev/null 2>&1 < /dev/null &").check()
    web.wait_for.state(VMState.SHUT_OFF)
