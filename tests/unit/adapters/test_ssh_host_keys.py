"""The known_hosts file: pinned, first seen, changed."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from lago_sdk.adapters import keys
from lago_sdk.adapters.ssh.host_keys import (
    check_host_key,
    find_host_key,
    parse_public_line,
    pin_host_key,
)
from lago_sdk.errors import HostKeyChangedError, SSHError


@pytest.fixture
def known(tmp_path):
    return tmp_path / "known_hosts"


def make_line():
    return keys.generate_host_key("comment")[1]


def test_nothing_is_pinned_in_a_file_that_is_not_there(known):
    assert find_host_key(known, "web") is None


def test_a_pinned_key_is_found_by_its_alias_only(known):
    line = make_line()
    pin_host_key(known, "web", line)
    assert find_host_key(known, "web") == parse_public_line(line)
    assert find_host_key(known, "we") is None
    assert stat.S_IMODE(known.stat().st_mode) == 0o600


def test_pinning_again_replaces_and_leaves_others(known):
    first, second, other = make_line(), make_line(), make_line()
    pin_host_key(known, "web", first)
    pin_host_key(known, "db", other)
    pin_host_key(known, "web", second)
    assert find_host_key(known, "web") == parse_public_line(second)
    assert find_host_key(known, "db") == parse_public_line(other)
    assert len(known.read_text().splitlines()) == 2


def test_the_first_key_seen_is_pinned(known):
    shown = parse_public_line(make_line())
    check_host_key(known, "web", shown)
    assert find_host_key(known, "web") == shown
    check_host_key(known, "web", shown)


def test_a_changed_key_is_an_error_with_a_hint_and_stays_unpinned(known):
    line = make_line()
    pin_host_key(known, "web", line)
    with pytest.raises(HostKeyChangedError, match="web") as caught:
        check_host_key(known, "web", parse_public_line(make_line()))
    assert str(known) in str(caught.value.hint)
    assert find_host_key(known, "web") == parse_public_line(line)


def test_of_many_first_keys_at_once_one_is_pinned(known):
    shown = [parse_public_line(make_line()) for _ in range(8)]

    def check(key):
        try:
            check_host_key(known, "web", key)
        except HostKeyChangedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(check, shown))
    assert accepted.count(True) == 1
    assert find_host_key(known, "web") == shown[accepted.index(True)]


def test_many_guests_pinned_at_once_are_all_there(known):
    lines = {f"vm{number}": make_line() for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: pin_host_key(known, *item), lines.items()))
    assert {name: find_host_key(known, name) for name in lines} == {
        name: parse_public_line(line) for name, line in lines.items()
    }


@pytest.mark.parametrize("alias", ["", "a b", "a,b", "*", "!web", "|1|x", "a\nb", "@revoked"])
def test_an_alias_that_means_something_else_is_refused(known, alias):
    with pytest.raises(SSHError, match="known_hosts"):
        pin_host_key(known, alias, make_line())
    assert not known.exists()


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 x", "one two three"])
def test_what_is_no_key_is_not_pinned(known, line):
    with pytest.raises(SSHError, match="not a public key"):
        pin_host_key(known, "web", line)


def test_a_damaged_line_is_an_error_not_a_first_key(known):
    known.write_text("web ssh-ed25519\n")
    with pytest.raises(SSHError, match="not a public key"):
        check_host_key(known, "web", parse_public_line(make_line()))


def test_an_unreadable_file_is_an_error(known):
    known.mkdir()
    with pytest.raises(SSHError, match="cannot read the host keys"):
        find_host_key(known, "web")
