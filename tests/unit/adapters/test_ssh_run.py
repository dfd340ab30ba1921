"""Commands in guests, against a real OpenSSH and a real dropbear on loopback."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ssh_servers import dial, make_dropbear, make_sshd

from lago_sdk.adapters import keys
from lago_sdk.adapters.ssh import SSHGuest
from lago_sdk.adapters.ssh.host_keys import find_host_key, pin_host_key
from lago_sdk.errors import CommandTimeoutError, HostKeyChangedError, SSHError
from lago_sdk.ports import Guest


@pytest.fixture(scope="module", params=[make_sshd, make_dropbear], ids=["openssh", "dropbear"])
def server(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def guest(server):
    if server.process is None:
        server.start()
    opened = server.guest()
    yield opened
    opened.close()


def test_it_is_a_guest(guest):
    def takes(port: Guest):
        return port.run("true").code

    assert takes(guest) == 0


def test_code_and_streams_are_told_apart(guest):
    result = guest.run("echo out; echo err >&2; exit 3")
    assert (result.code, result.out, result.err) == (3, "out\n", "err\n")
    assert result.command == "echo out; echo err >&2; exit 3"


def test_text_is_utf8_both_ways(guest):
    assert guest.run("cat; echo grün", input="Käse 🧀\n".encode()).out == "Käse 🧀\ngrün\n"


def test_bytes_that_are_no_text_do_not_fail(guest):
    assert guest.run(r"printf '\377a'").out == "�a"


def test_without_input_the_command_sees_its_end_at_once(guest):
    assert guest.run("cat", timeout=10).out == ""


def test_much_input_and_much_output_at_once(guest):
    data = bytes(range(33, 127)) * 110_000
    result = guest.run("cat", input=data, timeout=60)
    assert result.code == 0
    assert hashlib.sha256(result.out.encode()).digest() == hashlib.sha256(data).digest()


def test_much_on_both_output_streams(guest):
    command = "head -c 3000000 /dev/zero | tr '\\0' o; head -c 3000000 /dev/zero | tr '\\0' e >&2"
    result = guest.run(command, timeout=60)
    assert (len(result.out), len(result.err)) == (3_000_000, 3_000_000)


def test_a_command_that_ignores_its_input_ends_all_the_same(guest):
    assert guest.run("echo done", input=b"x" * 10_000_000, timeout=30).out == "done\n"


def test_environment_is_exported_and_quoted(guest):
    value = 'it\'s $HOME; `id` "ü" \\ a\nb'
    assert guest.run('printf %s "$A$B"', env={"A": value, "B": "2"}).out == value + "2"


@pytest.mark.parametrize("env", [{"a b": "1"}, {"": "1"}, {"1A": "1"}, {"A;id": "1"}, {"A": "\0"}])
def test_what_cannot_be_a_variable_is_refused(guest, env):
    with pytest.raises(SSHError, match="environment variable"):
        guest.run("true", env=env)


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_signal_is_128_and_its_number(guest, name, code):
    assert guest.run(f"kill -{name} $$; sleep 5").code == code


def test_a_missing_program_is_the_shells_127(guest):
    assert guest.run("no-such-program").code == 127


def test_a_time_out_carries_the_output_so_far(guest):
    begin = time.monotonic()
    with pytest.raises(CommandTimeoutError, match=r"did not end within 0\.5 s") as caught:
        guest.run("echo part; echo bad >&2; sleep 5", timeout=0.5)
    assert time.monotonic() - begin < 3
    assert (caught.value.out, caught.value.err) == ("part\n", "bad\n")
    assert guest.run("echo alive").out == "alive\n"


def test_a_time_out_while_the_guest_takes_no_input(guest):
    with pytest.raises(CommandTimeoutError):
        guest.run("sleep 3", input=b"x" * 10_000_000, timeout=0.5)
    assert guest.run("echo alive").out == "alive\n"


def test_output_is_told_as_it_comes(guest):
    seen = []
    guest.run(
        "echo one; sleep 0.5; echo two >&2",
        on_output=lambda stream, data: seen.append((stream, data, time.monotonic())),
    )
    assert [(stream, data) for stream, data, _ in seen] == [("out", b"one\n"), ("err", b"two\n")]
    assert seen[1][2] - seen[0][2] > 0.2


def test_an_error_in_the_callers_hook_leaves_the_connection_sound(guest):
    def fail(stream, data):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guest.run("echo x; sleep 5", on_output=fail)
    assert guest.run("echo alive").out == "alive\n"


def test_a_background_process_does_not_hold_the_command(guest):
    begin = time.monotonic()
    assert guest.run("sleep 8 & echo started", timeout=20).out == "started\n"
    assert time.monotonic() - begin < 6


def test_eight_threads_at_once(server, guest):
    """OpenSSH carries them over one connection; dropbear cannot, and gets a few more."""
    sockets = []

    def counting(*arguments):
        sockets.append(dial(*arguments))
        return sockets[-1]

    shared = SSHGuest(server.target(), counting)
    with ThreadPoolExecutor(8) as pool:
        outs = list(pool.map(lambda n: shared.run(f"sleep 0.2; echo {n}").out, range(16)))
    assert outs == [f"{n}\n" for n in range(16)]
    assert len(sockets) <= (8 if "dropbear" in server.argv[-1] else 1)
    assert sum(sock.fileno() != -1 for sock in sockets) == 1
    shared.close()
    assert all(sock.fileno() == -1 for sock in sockets)


def test_a_connection_that_broke_between_commands_is_reopened(server, guest):
    assert guest.run("echo one").out == "one\n"
    server.kill()
    server.start()
    assert guest.run("echo two").out == "two\n"


def test_a_closed_guest_opens_again(guest):
    guest.run("true")
    guest.close()
    guest.close()
    assert guest.run("echo again").out == "again\n"


def test_a_server_that_dies_under_a_command_is_an_error_and_nothing_runs_twice(
    server, guest, tmp_path
):
    mark = tmp_path / "mark"
    threading.Timer(0.7, server.kill).start()
    with pytest.raises(SSHError, match="lost while") as caught:
        guest.run(f"echo ran >> {mark}; sleep 10", timeout=20)
    assert "not run again" in str(caught.value)
    assert mark.read_text() == "ran\n"


def test_nobody_listening_is_an_error(server, guest):
    server.kill()
    with pytest.raises(SSHError, match="web: nothing listens"):
        guest.run("true")


def test_a_wrong_key_is_refused_with_a_hint(server, guest, tmp_path):
    keys.create_key_pair(tmp_path / "other", "stranger")
    stranger = server.guest(key_path=tmp_path / "other")
    with pytest.raises(SSHError, match="login") as caught:
        stranger.run("true")
    assert "authorized_keys" in str(caught.value)


def test_no_key_and_no_password_is_an_error(server, guest):
    with pytest.raises(SSHError, match="neither a key nor a password"):
        server.guest(key_path=None).run("true")


@pytest.mark.parametrize("content", [None, "rubbish"])
def test_an_unusable_key_file_is_an_error(server, guest, tmp_path, content):
    if content is not None:
        (tmp_path / "id").write_text(content)
    with pytest.raises(SSHError, match="cannot read the private key"):
        server.guest(key_path=tmp_path / "id").run("true")


def test_the_first_host_key_seen_is_pinned(server, guest, tmp_path):
    known = tmp_path / "known"
    first = server.guest(host_keys_path=known)
    first.run("true")
    first.close()
    pinned = find_host_key(known, "web")
    assert pinned is not None
    assert pinned.type == "ssh-ed25519"


def test_a_changed_host_key_is_an_error_before_any_login(server, guest, tmp_path):
    known = tmp_path / "known"
    pin_host_key(known, "web", keys.generate_host_key("other")[1])
    with pytest.raises(HostKeyChangedError, match="web") as caught:
        server.guest(host_keys_path=known).run("true")
    assert str(known) in str(caught.value)


def test_at_rest_nothing_is_on_its_way(guest):
    guest.rest(1)
    guest.run("head -c 1000000 /dev/zero", timeout=20)
    begin = time.monotonic()
    guest.rest(10)
    assert time.monotonic() - begin < 5
    (transport,) = guest._pool._used
    assert transport.wait_sent(0)
    assert guest.run("echo again").out == "again\n"


def is_known(ours, theirs):
    """Whether the kernel still has our end of a connection, in whatever state (proc(5))."""
    wanted = [f"0100007F:{port:04X}" for port in (ours, theirs)]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1:3] == wanted for line in lines)


def test_an_aborted_connection_leaves_no_socket(guest):
    guest.run("true")
    (transport,) = guest._pool._used
    ours, theirs = (end[1] for end in (transport.sock.getsockname(), transport.sock.getpeername()))
    assert is_known(ours, theirs)
    guest.close(abort=True)
    end = time.monotonic() + 5
    while is_known(ours, theirs):  # one that lingers would stay for a minute
        assert time.monotonic() < end
        time.sleep(0.02)
    assert guest.run("echo again").out == "again\n"
