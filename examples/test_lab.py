"""A lab in pytest: ``pytest examples/test_lab.py``.

The fixture ``lago_prefix`` comes with lago_sdk. It brings up what ``lago_init_file`` names once
for the module, and destroys it afterwards.
"""

from pathlib import Path

import pytest

from lago_sdk import Prefix


@pytest.fixture(scope="module")
def lago_init_file() -> Path:
    return Path(__file__).parent / "two-vms" / "LagoInitFile"


@pytest.mark.parametrize(("vm", "other"), [("web", "db"), ("db", "web")])
def test_each_vm_reaches_the_other_by_name(lago_prefix: Prefix, vm: str, other: str) -> None:
    lago_prefix.vms[vm].ssh(["ping", "-c", "1", other], timeout=30).check()


def test_guests_have_their_names(lago_prefix: Prefix) -> None:
    names = {vm.ssh(["hostname"]).check().out.strip() for vm in lago_prefix.vms.values()}
    assert names == {"web", "db"}
