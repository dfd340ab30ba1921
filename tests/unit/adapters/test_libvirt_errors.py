"""libvirt's errors and states, as ours."""

import libvirt
import pytest

from lago_sdk.adapters.libvirt.connection import Connection
from lago_sdk.adapters.libvirt.errors import (
    REASONS,
    Reason,
    find_reason,
    tolerated,
    translated,
)
from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor
from lago_sdk.adapters.libvirt.states import describe_state
from lago_sdk.errors import HostError, HypervisorError, LagoError
from lago_sdk.state import VMState

LEVELS = {"VIR_ERR_NONE", "VIR_ERR_WARNING", "VIR_ERR_ERROR"}
"""virErrorLevel shares the prefix."""


def make_error(code, *, domain=libvirt.VIR_FROM_QEMU, message="it says so", int1=-1):
    error = libvirt.libvirtError("ignored")
    error.err = (code, domain, message, 2, None, None, None, int1, -1)
    return error


def test_every_error_number_of_libvirt_has_a_reason():
    names = {name for name in vars(libvirt) if name.startswith("VIR_ERR_")} - LEVELS
    assert {name.removeprefix("VIR_ERR_") for name in names} <= set(REASONS)


@pytest.mark.parametrize("name", sorted(REASONS))
def test_every_error_becomes_one_of_ours(name):
    code = getattr(libvirt, f"VIR_ERR_{name}", None)
    if code is None:
        return  # of a newer libvirt than this one
    told = pytest.raises(LagoError, match="cannot start it: it says so")
    with told as caught, translated("start it"):
        raise make_error(code)
    host = REASONS[name] in {Reason.UNREACHABLE, Reason.DENIED}
    assert type(caught.value) is (HostError if host else HypervisorError)
    assert host or caught.value.code == code


@pytest.mark.parametrize("domain", [libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE])
@pytest.mark.parametrize("code", [libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR])
def test_trouble_of_the_transport_is_a_lost_daemon(domain, code):
    assert find_reason(make_error(code, domain=domain)) is Reason.UNREACHABLE


def test_a_socket_that_we_may_not_open_is_told_as_such():
    error = make_error(libvirt.VIR_ERR_SYSTEM_ERROR, domain=libvirt.VIR_FROM_RPC, int1=13)
    with pytest.raises(HostError, match="group 'libvirt'"), translated("connect"):
        raise error


def test_an_error_number_of_the_future_is_a_failure():
    assert find_reason(make_error(99_999)) is Reason.FAILED


def test_a_message_of_many_lines_becomes_one():
    with pytest.raises(HypervisorError, match=r"cannot x: one two$"), translated("x"):
        raise make_error(libvirt.VIR_ERR_OPERATION_FAILED, message="one\n   two\n")


def test_only_what_is_tolerated_is_swallowed():
    with tolerated(Reason.ABSENT):
        raise make_error(libvirt.VIR_ERR_NO_DOMAIN)
    with pytest.raises(libvirt.libvirtError), tolerated(Reason.ABSENT):
        raise make_error(libvirt.VIR_ERR_XML_ERROR)
    with pytest.raises(ZeroDivisionError), tolerated(Reason.ABSENT):
        raise ZeroDivisionError


def names_of(prefix):
    """Names and numbers of one of libvirt's enums."""
    return [
        (name, value)
        for name, value in vars(libvirt).items()
        if name.startswith(prefix) and isinstance(value, int)
    ]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("NOSTATE", VMState.UNKNOWN),
        ("RUNNING", VMState.RUNNING),
        ("BLOCKED", VMState.BLOCKED),
        ("PAUSED", VMState.PAUSED),
        ("SHUTDOWN", VMState.SHUTTING_DOWN),
        ("SHUTOFF", VMState.SHUT_OFF),
        ("CRASHED", VMState.CRASHED),
        ("PMSUSPENDED", VMState.SUSPENDED),
    ],
)
def test_each_state_has_its_word(name, state):
    assert describe_state(getattr(libvirt, f"VIR_DOMAIN_{name}"), 0) == (state, "")


@pytest.mark.parametrize("number", [-1, 8, 99])
def test_a_state_of_the_future_is_unknown(number):
    assert describe_state(number, 1) == (VMState.UNKNOWN, "")


@pytest.mark.parametrize(
    ("state", "prefix"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, "VIR_DOMAIN_RUNNING_"),
        (libvirt.VIR_DOMAIN_PAUSED, "VIR_DOMAIN_PAUSED_"),
        (libvirt.VIR_DOMAIN_SHUTOFF, "VIR_DOMAIN_SHUTOFF_"),
        (libvirt.VIR_DOMAIN_CRASHED, "VIR_DOMAIN_CRASHED_"),
    ],
)
def test_each_reason_has_a_word_unless_it_is_unknown(state, prefix):
    numbers = dict(names_of(prefix))
    for name, number in numbers.items():
        assert bool(describe_state(state, number)[1]) is not name.endswith("_UNKNOWN")


def test_reasons_are_the_right_ones():
    def reason(state, number):
        return describe_state(state, number)[1]

    assert reason(libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED) == "booted"
    assert (
        reason(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR) == "input/output error"
    )
    assert reason(libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED) == "panicked"
    assert reason(libvirt.VIR_DOMAIN_BLOCKED, 1) == ""
    assert reason(libvirt.VIR_DOMAIN_RUNNING, 99) == ""


def test_a_vm_whose_qemu_is_gone_has_crashed_and_is_not_merely_off():
    shut_off = libvirt.VIR_DOMAIN_SHUTOFF
    state, reason = describe_state(shut_off, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)
    assert (state, reason) == (VMState.CRASHED, "its guest panicked, or QEMU was killed")
    ended = describe_state(shut_off, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED)
    assert ended == (VMState.SHUT_OFF, "destroyed")


def test_no_daemon_is_a_host_error_and_silent(tmp_path, capfd):
    uri = f"qemu+unix:///system?socket={tmp_path}/none"
    with pytest.raises(HostError, match="cannot connect to qemu"):
        LibvirtHypervisor(uri).version()
    assert capfd.readouterr() == ("", "")


def test_a_daemon_that_says_nothing_is_given_up(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "sock"))
        silent.listen()
        connection = Connection(f"qemu+unix:///system?socket={tmp_path}/sock", timeout=0.2)
        with pytest.raises(HostError, match=r"does not answer within 0\.2 s"):
            connection.get()


def test_a_closed_connection_stays_closed():
    hypervisor = LibvirtHypervisor("test:///default")
    assert hypervisor.version() > 0
    for _again in range(2):
        hypervisor.close()
    with pytest.raises(HostError, match="is closed"):
        hypervisor.version()
