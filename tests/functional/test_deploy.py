"""Deploy scripts and services in real guests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.conftest import Lagoctl
from lago_sdk import (
    Config,
    DeployError,
    Event,
    Output,
    Prefix,
    ServiceError,
    ServiceState,
    VMNotRunningError,
)

DAEMON = """#!/bin/sh
# A script as LSB has them, for a daemon that sleeps.
pid=/run/sleeper.pid
alive() { [ -s $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
case $1 in
start) [ -e /etc/sleeper.broken ] && { echo "sleeper: broken" >&2; exit 1; }
    sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >$pid ;;
stop) alive && kill "$(cat $pid)"; rm -f $pid ;;
restart) "$0" stop; "$0" start ;;
status) alive && echo running || { echo stopped; exit 3; } ;;
esac
"""


def init_file(directory: Path) -> Path:
    """Three VMs: two with scripts of which one fails, one without any."""
    scripts = {
        "install": "#!/bin/sh\nmkdir -p /etc/init.d\n"
        f"cat > /etc/init.d/sleeper <<'END'\n{DAEMON}END\n"
        "chmod 755 /etc/init.d/sleeper\necho installed\n",
        "slow": "for n in 1 2 3; do echo line $n; sleep 0.3; done\nhostname > /root/slow\n",
        "broken": "echo before\necho 'cannot go on' >&2\nexit 9\n",
        "after": "touch /root/after\n",
    }
    for name, text in scripts.items():
        (directory / name).write_text(text)
    text = "domains:\n"
    for vm, names in {"web": ["install", "slow"], "db": ["broken", "after"], "idle": []}.items():
        text += f"""  {vm}:
    memory: 128
    nics: [{{net: lan}}]
    disks: [{{type: template, name: root, dev: vda, template_name: tiny}}]
    metadata: {{deploy-scripts: [{", ".join(names)}]}}
"""
    path = directory / "LagoInitFile"
    path.write_text(text + "nets:\n  lan: {type: nat, management: true}\n")
    return path


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str, events: list[Event]
) -> Iterator[Prefix]:
    """The three VMs, running; web is deployed."""
    directory = tmp_path_factory.mktemp("deploy")
    config = Config.load({"host": host})
    with Prefix.create(
        init_file(directory),
        workdir=directory / "workdir",
        config=config,
        observer=events.append,
    ) as prefix:
        with pytest.raises(VMNotRunningError, match="cannot be deployed: it is down"):
            prefix.deploy()
        prefix.start()
        prefix.deploy("web")
        yield prefix


def test_scripts_run_in_their_order_and_are_seen_at_once(lab: Prefix, events: list[Event]) -> None:
    web = lab.vms["web"]
    assert web.ssh("cat /root/slow").out == "web\n"
    lines = [event.line for event in events if isinstance(event, Output)]
    assert lines == ["installed", "line 1", "line 2", "line 3"]
    log = (lab.path / "logs" / "web.deploy.log").read_text()
    assert log.index("installed") < log.index("line 3")


def test_a_failing_script_stops_its_vm_and_is_told_with_its_output(lab: Prefix) -> None:
    with pytest.raises(DeployError) as caught:
        lab.deploy(["db", "idle"])
    error = caught.value
    assert (error.vm, Path(error.script).name, error.code) == ("db", "broken", 9)
    assert error.hint is not None
    assert "cannot go on" in error.hint
    assert "before" in error.log.read_text()
    assert lab.vms["db"].ssh("test -e /root/after").code == 1


def test_a_service_of_an_init_script(lab: Prefix) -> None:
    sleeper = lab.vms["web"].service("sleeper")
    assert sleeper.state is ServiceState.INACTIVE
    assert sleeper.start()
    assert not sleeper.start()
    assert sleeper.is_alive()
    before = lab.vms["web"].ssh("cat /run/sleeper.pid").out
    sleeper.restart()
    assert sleeper.is_alive()
    assert lab.vms["web"].ssh("cat /run/sleeper.pid").out != before
    assert sleeper.stop()
    assert sleeper.state is ServiceState.INACTIVE
    assert not lab.vms["web"].service("slepper").exists()


def test_a_service_that_fails_is_explained(lab: Prefix) -> None:
    web = lab.vms["web"]
    web.ssh("touch /etc/sleeper.broken").check()
    try:
        with pytest.raises(ServiceError, match="start of 'sleeper' on 'web' failed") as caught:
            web.service("sleeper").start()
    finally:
        web.ssh("rm /etc/sleeper.broken").check()
    assert caught.value.hint is not None
    assert "stopped" in caught.value.hint
    with pytest.raises(ServiceError, match="has no service 'slepper'"):
        web.service("slepper").start()


def test_from_the_shell(lab: Prefix, lagoctl: Lagoctl) -> None:
    workdir = ("--workdir-path", str(lab.path.parent))
    done = lagoctl("deploy", "web", *workdir)
    assert done.stdout == ""
    assert "web | line 3" in done.stderr
    assert "web: 2 scripts in" in done.stderr
    failed = lagoctl("deploy", *workdir, code=2)
    assert "db | cannot go on" in failed.stderr
    assert "error: the deploy script" in failed.stderr
    assert "Traceback" not in failed.stderr
    lagoctl("service", "web", "sleeper", "start", *workdir)
    assert lagoctl("service", "web", "sleeper", *workdir).stdout == "active\n"
    again = lagoctl("service", "web", "sleeper", "start", *workdir)
    assert "nothing to do: sleeper is active" in again.stderr
    lagoctl("service", "web", "sleeper", "stop", *workdir)
    unknown = lagoctl("deploy", "wbe", *workdir, code=2)
    assert "did you mean 'web'" in unknown.stderr


@pytest.mark.root_only
@pytest.mark.private_only
def test_services_of_systemd(debian_lab: Prefix) -> None:
    server = debian_lab.vms["server"]
    assert server.service("ssh").is_alive()
    assert not server.service("sssh").exists()
    server.ssh(
        "printf '[Service]\\nType=simple\\nExecStart=/bin/sleep 1000\\n' "
        "> /etc/systemd/system/sleeper.service && systemctl daemon-reload"
    ).check()
    sleeper = server.service("sleeper")
    assert sleeper.state is ServiceState.INACTIVE
    assert sleeper.start()
    assert sleeper.is_alive()
    sleeper.restart()
    assert sleeper.stop()
    server.ssh(
        "printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \"echo no luck; exit 3\"\\n' "
        "> /etc/systemd/system/broken.service && systemctl daemon-reload"
    ).check()
    try:
        with pytest.raises(ServiceError) as caught:
            server.service("broken").start()
    finally:  # others share the VM, and look for failed units
        server.ssh(
            "rm /etc/systemd/system/broken.service && systemctl daemon-reload"
            " && systemctl reset-failed broken"
        ).check()
    assert caught.value.hint is not None
    assert "no luck" in caught.value.hint
