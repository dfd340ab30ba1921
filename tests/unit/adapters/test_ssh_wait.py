"""Waiting for a login: each stage is reached, told, and left promptly."""

import itertools
import socket
import threading
import time

import pytest
from ssh_servers import dial, free_port, make_sshd

from lago_sdk.adapters import keys
from lago_sdk.adapters.ssh import SSHGuest
from lago_sdk.adapters.ssh.host_keys import pin_host_key
from lago_sdk.adapters.ssh.stages import Limits, Reached, Stage
from lago_sdk.adapters.ssh.waiting import limits_of_tries, pause_after
from lago_sdk.errors import HostKeyChangedError, SSHError, WaitTimeoutError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = make_sshd(tmp_path_factory.mktemp("server"))
    yield made
    made.kill()


@pytest.fixture
def guest(server):
    if server.process is None:
        server.start()
    opened = server.guest()
    yield opened
    opened.close()


class TalkingServer:
    """Accepts on a port and says to each visitor what a function tells, after a delay."""

    def __init__(self, speech, delay=0.0):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._speech = speech
        self._delay = delay
        self._kept = []
        self.visits = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(visitor)
            self.visits.append(time.monotonic())
            if self._speech is not None:
                time.sleep(self._delay)
                visitor.sendall(self._speech)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for visitor in self._kept:
            visitor.close()


def wait(guest, timeout, **options):
    return guest.wait(timeout=timeout, explain=lambda: "the domain is running", **options)


def fail_to_wait(guest, timeout):
    begin = time.monotonic()
    with pytest.raises(WaitTimeoutError) as caught:
        wait(guest, timeout)
    assert time.monotonic() - begin < timeout + 0.7
    assert "the domain is running" in str(caught.value)
    return caught.value


def test_a_server_that_is_up_is_found_at_once(guest):
    assert wait(guest, 5) < 2


def test_the_connection_is_kept_for_the_first_command(server, guest):
    dials = []

    def counting(*arguments):
        dials.append(arguments)
        return dial(*arguments)

    counted = SSHGuest(server.target(), counting)
    wait(counted, 5)
    wait(counted, 5)
    assert counted.run("echo x").out == "x\n"
    counted.close()
    assert len(dials) == 1


def test_a_server_that_comes_up_later_is_found_soon(server, guest):
    server.kill()
    begin = time.monotonic()
    started = []

    def start():
        server.start()
        started.append(time.monotonic())

    timer = threading.Timer(1.0, start)
    timer.start()
    seconds = wait(guest, 15)
    timer.join()
    assert 1.0 <= seconds < started[0] - begin + 1.0


def test_nobody_listening_is_told(server, guest):
    server.kill()
    error = fail_to_wait(guest, 0.7)
    assert error.stage == f"port {server.port} refused"
    assert "nothing listens" in str(error)


def test_no_answer_is_told_and_no_try_is_endless(server):
    limits = []

    def unanswered(address, port, timeout):
        limits.append(timeout)
        time.sleep(min(timeout, 0.2))
        raise TimeoutError("timed out")

    error = fail_to_wait(SSHGuest(server.target(), unanswered), 1.5)
    assert error.stage == "no route or no answer"
    assert max(limits) <= 1.5
    assert min(limits) > 0


def test_a_port_that_says_nothing_is_told(server):
    silent = TalkingServer(None)
    try:
        error = fail_to_wait(server.guest(port=silent.port), 1.0)
    finally:
        silent.close()
    assert error.stage == f"port {silent.port} open, no banner"


def test_a_slow_banner_is_waited_for(server):
    """Under emulation sshd takes its time; cutting it short each time would never end."""
    slow = TalkingServer(b"SSH-2.0-Slow\r\n", delay=2.0)
    try:
        error = fail_to_wait(server.guest(port=slow.port), 3.0)
        assert len(slow.visits) == 1
    finally:
        slow.close()
    assert error.stage == "banner seen (SSH-2.0-Slow)"


def test_what_is_no_ssh_server_is_told(server):
    web = TalkingServer(b"HTTP/1.1 400 Bad Request\r\n" * 200)
    try:
        error = fail_to_wait(server.guest(port=web.port), 1.0)
    finally:
        web.close()
    assert error.stage == f"port {web.port} open, no banner"


def test_refused_logins_are_tolerated_once_a_second_and_told(server, guest, tmp_path):
    keys.create_key_pair(tmp_path / "other", "stranger")
    before = server.log().count("Connection closed by authenticating")
    error = fail_to_wait(server.guest(key_path=tmp_path / "other"), 2.5)
    assert error.stage.startswith("authentication refused (SSH-2.0-OpenSSH")
    assert "authorized_keys" in str(error)
    assert server.log().count("Connection closed by authenticating") - before <= 3


def test_a_key_that_is_installed_late_gets_in(server, guest, tmp_path):
    late = keys.create_key_pair(tmp_path / "late", "late")
    authorized = server.directory / "authorized"
    text = authorized.read_text()
    timer = threading.Timer(0.8, authorized.write_text, [f"{text}{late}\n"])
    timer.start()
    latecomer = server.guest(key_path=tmp_path / "late")
    try:
        assert 0.8 <= wait(latecomer, 10) < 4
    finally:
        timer.join()
        latecomer.close()
        authorized.write_text(text)


def test_a_changed_host_key_ends_the_wait_at_once(server, guest, tmp_path):
    known = tmp_path / "known"
    pin_host_key(known, "web", keys.generate_host_key("other")[1])
    begin = time.monotonic()
    with pytest.raises(HostKeyChangedError):
        wait(server.guest(host_keys_path=known), 20)
    assert time.monotonic() - begin < 5


def test_a_server_without_a_common_algorithm_ends_the_wait_at_once(tmp_path):
    old = make_sshd(tmp_path, "KexAlgorithms diffie-hellman-group18-sha512").start()
    try:
        with pytest.raises(SSHError, match="no algorithm in common"):
            wait(old.guest(), 20)
    finally:
        old.kill()


def test_an_unusable_key_ends_the_wait_before_it_begins(server, tmp_path):
    (tmp_path / "bad").write_text("rubbish")
    with pytest.raises(SSHError, match="cannot read the private key"):
        wait(server.guest(key_path=tmp_path / "bad"), 20)


def test_giving_up_ends_the_wait(server):
    class StoppedError(Exception):
        pass

    calls = itertools.count()

    def give_up():
        if next(calls) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        wait(server.guest(port=free_port()), 20, give_up=give_up)


def test_most_tries_are_short_and_some_grow_patient():
    limits = list(itertools.islice(limits_of_tries(0.5, 8.0), 40))
    assert limits[:4] == [0.5, 0.5, 0.5, 1.0]
    assert sorted(set(limits)) == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert limits.count(0.5) == 30


@pytest.mark.parametrize("stage", [Stage.NO_ANSWER, Stage.REFUSED, Stage.OPEN, Stage.BANNER])
def test_a_stage_s_end_is_noticed_a_tenth_late_at_most(stage):
    assert pause_after(stage, 0.0) == 0.03
    assert pause_after(stage, 2.0) == pytest.approx(0.2)
    assert pause_after(stage, 600.0) == 0.5


def test_limits_stay_within_what_is_left():
    assert Limits().within(2).whole == 2
    assert Limits().within(2).within(5).whole == 2
    assert Limits().within(-1).whole > 0


def test_every_stage_has_words():
    told = {str(Reached(port=22, stage=stage, banner="SSH-2.0-x")) for stage in Stage}
    assert len(told) == len(Stage)
