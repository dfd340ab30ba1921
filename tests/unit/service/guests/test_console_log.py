"""The log of a console, while it is written."""

import pytest
from fake_labs import make_lab

from lago_sdk import LagoError, WaitTimeoutError


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


@pytest.fixture
def web(lab):
    vm = lab[0].vms["web"]
    vm.console.log.parent.mkdir(exist_ok=True)
    return vm


def append(vm, text):
    with vm.console.log.open("a", newline="") as file:
        file.write(text)


def test_lines_come_as_they_are_written_until_the_vm_is_off(lab, web):
    prefix, world = lab
    append(web, "before\r\n")
    lines = web.console.follow()
    world.clock.call_later(0.05, lambda: append(web, "one\r\ntw"))
    assert next(lines) == "one"
    append(web, "o\r\nthree")
    assert next(lines) == "two"
    world.clock.call_later(0.05, prefix.stop)
    assert list(lines) == ["three"]


def test_a_vm_that_is_off_has_what_there_is(lab, web):
    append(web, "one\ntwo\n")
    lab[0].stop()
    assert list(web.console.follow(from_start=True)) == ["one", "two"]
    assert list(web.console.follow()) == []


def test_a_log_that_is_replaced_is_read_from_its_start(lab, web):
    append(web, "old and long\n")
    lines = web.console.follow()

    def replace():
        web.console.log.rename(web.console.log.with_suffix(".0"))
        append(web, "new\n")

    lab[1].clock.call_later(0.05, replace)
    assert next(lines) == "new"


def test_text_is_expected_since_the_last_time(lab, web):
    append(web, "login:")
    lab[1].clock.call_later(0.05, lambda: append(web, "\x1b[1mready\x1b[0m in 7 s\r\nlogin:"))
    assert web.console.expect(r"^ready in (\d+) s$", 5)[1] == "7"
    with pytest.raises(WaitTimeoutError, match="did not show 'ready' within 2 s") as caught:
        web.console.expect("ready", 2)
    assert caught.value.console[-1] == "login:"


def test_what_cannot_be_read_is_told(web):
    web.console.log.mkdir()
    with pytest.raises(LagoError, match="cannot read the console's log"):
        list(web.console.follow(from_start=True))
