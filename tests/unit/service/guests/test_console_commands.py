"""Commands at a console: real shells on pseudo terminals, and kernels that interrupt them."""

import re
import shutil
import sys
import time

import attrs
import pytest
from console_shells import Terminal
from fake_labs import domain, lab_spec, make_lab, vm

from lago_sdk import CommandTimeoutError, ConsoleError, Road, VMNotRunningError
from lago_sdk.adapters import files
from lago_sdk.service.guests import console, console_commands
from lago_sdk.testing import FakeConsole, make_world

SHELLS = {"bash": ["bash", "--norc"], "dash": ["dash", "-i"]}
SHELLS = {name: argv for name, argv in SHELLS.items() if shutil.which(name)}
GETTY = """
import os, sys
def ask(prompt):
    while True:
        sys.stdout.write(prompt)
        sys.stdout.flush()
        line = sys.stdin.readline().strip("\\x15\\n ")
        if line:
            return line
while True:
    user = ask("tiny login: ")
    if ask("Password: ") == "s3cret" and user == "root":
        print("Last login: Tue Nov 24\\n")
        sys.stdout.flush()
        os.execvp("bash", ["bash", "--norc"])
    print("\\nLogin incorrect")
"""


def session_on(tmp_path, terminal, **changes):
    world = attrs.evolve(make_world(), clock=time)
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(**changes)), world=world)
    prefix.start()
    return console.ConsoleSession(prefix.plan.get_vm("web"), prefix.context, terminal)


@pytest.fixture(params=sorted(SHELLS))
def session(request, on_terminal):
    return on_terminal(SHELLS[request.param])


@pytest.fixture
def on_terminal(tmp_path):
    """Make sessions on terminals that run a program."""
    made = []

    def make(argv, *, spoil=None, env=None, **changes):
        made.append(Terminal(argv, spoil=spoil, env=env))
        return session_on(tmp_path, made[-1], **changes)

    yield make
    for terminal in made:
        terminal.end()


def run(session, command, **options):
    return console_commands.run_command(session, command, **{"timeout": 30, **options})


def test_code_and_both_outputs_come_back(session):
    result = run(session, "echo out; echo err >&2; exit 3")
    assert (result.code, result.out, result.err) == (3, "out\n", "err\n")
    assert result.via is Road.CONSOLE


def test_one_command_follows_another(session):
    assert [run(session, f"echo {n}").out for n in range(3)] == ["0\n", "1\n", "2\n"]


def test_a_list_is_quoted_and_variables_are_set(session):
    assert run(session, ["echo", "a  b", "$HOME", "'"]).out == "a  b $HOME '\n"
    assert run(session, 'echo "$WORD"', env={"WORD": "it's  two"}).out == "it's  two\n"


def test_any_bytes_go_in_and_lines_of_any_length_come_out(session):
    assert run(session, "od -An -v -tx1 | tr -d ' \\n'", input=bytes(range(256))).out == "".join(
        f"{n:02x}" for n in range(256)
    )
    assert run(session, "head -c 100000 /dev/zero | tr '\\0' x").out == "x" * 100_000


def test_a_long_command_goes_in(session):
    text = "x" * 20_000
    assert run(session, f"echo {text}").out == f"{text}\n"


def test_half_a_line_of_somebody_else_is_thrown_away(session):
    session.send("rm -rf /nowhere")
    assert run(session, "echo fine").out == "fine\n"


def test_a_command_that_hangs_is_interrupted(session):
    with pytest.raises(CommandTimeoutError, match="did not end within 1 s"):
        run(session, "sleep 60", timeout=1)
    assert run(session, "echo fine").out == "fine\n"


def test_kernel_messages_in_the_middle_of_records_do_no_harm(on_terminal, monkeypatch):
    monkeypatch.setattr(console_commands, "_LINE_SECONDS", 0.3)
    noise = b"\r\n[   12.345678] eth0: link is down\r\n"
    count = 0

    def spoil(data):
        nonlocal count
        count += 1
        half = len(data) // 2
        return data[:half] + noise + data[half:] if count % 3 == 0 else data

    session = on_terminal(["bash", "--norc"], spoil=spoil)
    result = run(session, "seq 1 1000")
    assert result.out == "".join(f"{n}\n" for n in range(1, 1001))


def test_a_guest_without_base64_will_do(on_terminal, tmp_path):
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("sh", "bash", "od", "sed", "stty", "echo"):
        (path / name).symlink_to(shutil.which(name))
    session = on_terminal([str(path / "bash"), "--norc"], env={"PATH": str(path)})
    result = run(session, "echo out; echo err >&2; exit 4")
    assert (result.code, result.out, result.err) == (4, "out\n", "err\n")


def test_root_logs_in_where_that_is_asked_for(on_terminal):
    session = on_terminal([sys.executable, "-c", GETTY], **{"root-password": "s3cret"})
    assert run(session, "echo in").out == "in\n"
    assert run(session, "echo still").out == "still\n"


def test_without_a_password_the_login_is_told(on_terminal):
    session = on_terminal([sys.executable, "-c", GETTY])
    with pytest.raises(ConsoleError, match="root has no password") as caught:
        run(session, "true")
    assert "root-password" in caught.value.hint


def test_a_wrong_password_is_told(on_terminal):
    session = on_terminal([sys.executable, "-c", GETTY], **{"root-password": "other"})
    with pytest.raises(ConsoleError, match="does not take the password"):
        run(session, "true")


def test_somebody_who_does_not_obey_is_told_with_what_is_shown(on_terminal, monkeypatch):
    for name in ("_SHELL_SECONDS", "_PROMPT_SECONDS", "_LINE_SECONDS"):
        monkeypatch.setattr(console_commands, name, 0.2)
    session = on_terminal(["cat"])
    with pytest.raises(ConsoleError, match="nobody obeys at the console of 'web'"):
        run(session, "true", timeout=2)


def test_a_guest_that_ends_meanwhile_is_told(on_terminal):
    session = on_terminal(["bash", "--norc"])
    with pytest.raises(ConsoleError, match="somebody else took it over"):
        run(session, "kill -9 $(ps -o sid= -p $$)")


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


def test_a_console_has_room_for_one_and_says_who_that_is(tmp_path):
    world = attrs.evolve(make_world(), files=files)
    prefix, _ = make_lab(tmp_path, world=world)
    prefix.start()
    web = prefix.vms["web"]
    with web.console.session() as first:
        with pytest.raises(ConsoleError, match=r"in use by .* to hold a session") as caught:
            web.console.send("x")
        assert "lagoctl console --force web" in caught.value.hint
        with web.console.session(force=True):
            pass
        with pytest.raises(ConsoleError, match="somebody else took it over"):
            first.send("x")


def test_a_user_who_is_not_ours_is_told_too(lab):
    prefix, world = lab
    theirs = world.hypervisor.put_console(domain(prefix, "web"), FakeConsole())
    theirs.open()
    with pytest.raises(ConsoleError, match="virsh console"):
        prefix.vms["web"].console.send("x")
    with pytest.raises(ConsoleError, match="virsh console"):
        prefix.vms["web"].interactive_console()
    assert prefix.vms["web"].interactive_console(force=True) == 0
    assert theirs.attached == 1


def test_what_is_shown_is_expected(lab):
    prefix, world = lab
    shown = FakeConsole(lambda typed: b"you said " + typed + b"\r\n", clock=world.clock)
    world.hypervisor.put_console(domain(prefix, "web"), shown)
    with prefix.vms["web"].console.session() as session:
        session.send("hello")
        assert session.expect(r"said (\w+)")[1] == "hello"
        with pytest.raises(Exception, match="did not show 'said'") as caught:
            session.expect("said", timeout=2)
        assert caught.value.console == ("you said hello",)
    assert shown.typed == b"hello"


def test_a_vm_that_is_off_has_no_console(lab):
    prefix, _ = lab
    prefix.stop(["web"])
    web = prefix.vms["web"]
    for use in (lambda: web.console.run("true"), web.interactive_console):
        with pytest.raises(VMNotRunningError, match=re.escape("lagoctl start web")):
            use()
    prefix.stop()
    with pytest.raises(VMNotRunningError):
        web.console.send("x")
