"""The verb for consoles, and other roads than ssh for the verb shell."""

import pytest


@pytest.fixture
def db(library, tmp_path):
    vm = library.add().vms["db"]
    vm.log = tmp_path / "console.log"
    return vm


def test_a_terminal_sits_down_at_the_console(db, lagoctl, terminal):
    result = lagoctl("console", "db")
    assert (result.exit_code, db.calls) == (0, [("console", False)])
    assert "^] leaves it" in result.stderr
    lagoctl("console", "--force", "db")
    assert db.calls[-1] == ("console", True)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--log"], "one\ntwo\nthree\n"),
        (["--lines", "2"], "two\nthree\n"),
        (["--lines", "0"], ""),
        (["--log", "--follow", "--lines", "1"], "three\nfollowed\n"),
    ],
)
def test_the_log_is_printed(db, lagoctl, words, shown):
    db.log.write_bytes(b"one\r\ntwo\r\nthree")
    assert lagoctl("console", "db", *words).stdout == shown


def test_a_vm_that_never_ran_has_an_empty_log(db, lagoctl):
    result = lagoctl("console", "db", "--log")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_command_takes_the_road_that_is_named(db, lagoctl):
    db.code = 7
    result = lagoctl("shell", "--via", "agent", "db", "ip", "link")
    assert (result.exit_code, result.stdout) == (7, "out\n")
    assert db.calls == [("run", "ip link", "agent", None)]
    lagoctl("shell", "--via", "auto", "-i", "db", "-c", "cat", input="data")
    assert db.calls[-1] == ("run", "cat", "auto", b"data")
    lagoctl("shell", "--via", "ssh", "db", "true")
    assert db.calls[-1] == ("ssh", "true", None)


def test_standard_input_is_a_script_without_words(db, lagoctl):
    lagoctl("shell", "--via", "console", "db", input="hostname\n")
    assert db.calls == [("run", ["sh", "-s"], "console", b"hostname\n")]


def test_a_terminal_is_attached_where_that_can_be(db, lagoctl, terminal):
    lagoctl("shell", "--via", "console", "db")
    assert db.calls == [("console", False)]
    lagoctl("shell", "--via", "auto", "db")
    assert db.calls[-1] == ("interactive", None)
    refused = lagoctl("shell", "--via", "agent", "db")
    assert refused.exit_code == 2
    assert "offers no terminal" in refused.stderr
