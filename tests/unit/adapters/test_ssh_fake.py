"""The shipped fake keeps to the same words as the real guest."""

import pytest

from lago_sdk import ports  # noqa: TC001
from lago_sdk.errors import SSHError
from lago_sdk.testing.guest import Call, FakeGuest


def test_it_answers_what_it_was_told_and_remembers_what_it_was_asked():
    fake = FakeGuest()
    fake.answer("uname", out="Linux\n")
    guest: ports.Guest = fake
    assert guest.run("uname", input=b"x", timeout=3, env={"A": "1"}).out == "Linux\n"
    assert fake.calls == [Call(command="uname", input=b"x", timeout=3, env={"A": "1"})]
    assert fake.is_open
    guest.close()
    assert not fake.is_open


def test_a_command_without_an_answer_is_not_found():
    result = FakeGuest().run("frobnicate")
    assert (result.code, result.out) == (127, "")
    assert "frobnicate" in result.err


def test_an_answer_can_raise_as_a_guest_does():
    def lose(call):
        raise SSHError("lost")

    fake = FakeGuest()
    fake.answer_with("reboot", lose)
    with pytest.raises(SSHError):
        fake.run("reboot")


def test_output_goes_to_the_hook():
    seen = []
    fake = FakeGuest()
    fake.answer("x", out="o", err="e")
    fake.run("x", on_output=lambda stream, data: seen.append((stream, data)))
    assert seen == [("out", b"o"), ("err", b"e")]


def test_a_login_that_fails_fails_everywhere():
    fake = FakeGuest(login_error=SSHError("refused"))
    for act in (
        lambda: fake.run("x"),
        lambda: fake.wait(timeout=1, explain=str),
        fake.interact,
    ):
        with pytest.raises(SSHError, match="refused"):
            act()
    assert not fake.is_open


def test_waiting_asks_whether_to_give_up():
    asked = []
    assert (
        FakeGuest(login_seconds=4.5).wait(timeout=1, explain=str, give_up=lambda: asked.append(1))
        == 4.5
    )
    assert asked == [1]


def test_interaction_returns_the_answer_s_code():
    fake = FakeGuest()
    fake.answer("exit 3", code=3)
    assert (fake.interact(), fake.interact("exit 3"), fake.interact("no")) == (0, 3, 127)
    assert fake.interactions == [None, "exit 3", "no"]
