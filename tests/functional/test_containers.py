"""Services in containers of a real guest: podman, and a systemd inside of a container.

Its template takes two minutes to build, so it runs where it is asked for: ``-m by_hand``.
"""

import time

import pytest

from functional.conftest import EXAMPLES, PrefixMaker
from lago_sdk import Config, ServiceState, build_template

pytestmark = [
    pytest.mark.functional,
    pytest.mark.by_hand,
    pytest.mark.root_only,
    pytest.mark.private_only,
    pytest.mark.timeout(900),
]


def test_containers_and_their_units(base_config: Config, make_prefix: PrefixMaker) -> None:
    build_template(EXAMPLES / "recipes" / "containers.yaml", config=base_config)
    prefix = make_prefix(EXAMPLES / "containers" / "LagoInitFile")
    prefix.start()
    prefix.deploy()
    host = prefix.vms["host"]
    web, whole = host.service("web"), host.service("whole")
    assert (web.state, whole.state) == (ServiceState.INACTIVE, ServiceState.INACTIVE)
    assert not host.service("nobody").exists()
    assert web.start()
    assert not web.start()
    assert host.ssh("podman ps --format '{{.Names}}'").check().out.split() == ["web"]
    assert web.stop()
    assert web.state is ServiceState.INACTIVE

    journal = host.service("whole/systemd-journald")
    assert journal.state is ServiceState.INACTIVE
    whole.start()
    deadline = time.monotonic() + 90
    while journal.state is not ServiceState.ACTIVE:
        assert time.monotonic() < deadline
        time.sleep(1)
    journal.restart()
    assert journal.is_alive()
    assert not host.service("whole/nobody").exists()
    whole.stop()
    assert not journal.is_alive()
