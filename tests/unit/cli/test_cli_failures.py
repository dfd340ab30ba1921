"""How errors and signals end the program."""

import signal
import subprocess
import sys
import time

import pytest

from lago_sdk import Problem, SpecError, VMError, WaitTimeoutError


def test_a_group_of_errors_is_told_one_by_one(library, lagoctl):
    library.add().error = ExceptionGroup(
        "2 VMs failed",
        [
            VMError("a", "a failed", hint="look"),
            ExceptionGroup("more", [VMError("b", "b failed")]),
        ],
    )
    result = lagoctl("start")
    assert result.exit_code == 2
    assert result.stderr == "error: a failed\nhint: look\nerror: b failed\n"


def test_a_deadline_tells_the_stage_and_the_console(library, lagoctl):
    library.add().error = WaitTimeoutError(
        "web does not answer ssh", stage="port 22 open", console=["Booting", "panic"], hint="wait"
    )
    assert lagoctl("start").stderr == (
        "error: web does not answer ssh\n"
        "  reached: port 22 open\n"
        "  console: Booting\n"
        "  console: panic\n"
        "hint: wait\n"
    )


def test_a_wrong_spec_tells_every_problem(library, lagoctl):
    problems = [Problem(message=f"wrong {n}", file="f", line=n, column=1) for n in (1, 2)]
    library.add().error = SpecError(problems)
    result = lagoctl("start")
    assert result.exit_code == 2
    assert result.stderr == "f:1:1: error: wrong 1\nf:2:1: error: wrong 2\nerror: 2 errors in f\n"


def test_the_unexpected_is_a_sentence_and_a_report(library, lagoctl, tmp_path):
    library.add().error = ZeroDivisionError("by zero")
    result = lagoctl("start")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: something unexpected happened: ZeroDivisionError: by zero\nhint: the details are in"
    )
    assert "Traceback" not in result.stderr
    (report,) = (tmp_path / "state_home/lago").glob("crash-*.log")
    assert str(report) in result.stderr
    assert "Traceback" in report.read_text()


def test_the_unexpected_is_a_traceback_when_debugging(library, lagoctl, tmp_path):
    library.add().error = ZeroDivisionError("by zero")
    result = lagoctl("-l", "debug", "start")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert not (tmp_path / "state_home").exists()


def test_a_report_that_cannot_be_written_is_no_further_error(library, lagoctl, tmp_path):
    (tmp_path / "state_home").write_text("in the way")
    library.add().error = ZeroDivisionError("by zero")
    result = lagoctl("start")
    assert result.exit_code == 1
    assert "hint: run it again with --loglevel debug" in result.stderr


def test_the_unexpected_outweighs_the_mistake(library, lagoctl):
    library.add().error = ExceptionGroup("2", [VMError("a", "a failed"), RuntimeError("b")])
    assert lagoctl("start").exit_code == 1


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("2", [KeyboardInterrupt(), VMError("a", "a failed")])],
)
def test_an_interrupt_is_130(library, lagoctl, error):
    library.add().error = error
    result = lagoctl("start")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_an_exit_within_keeps_its_code(library, lagoctl):
    library.add().error = SystemExit(143)
    assert lagoctl("start").exit_code == 143


_PROGRAM = """
import time
import lago_sdk
from lago_cli.app import main

class Prefix:
    @staticmethod
    def open(*args, **more):
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            time.sleep(0.1)
            print("unwound", flush=True)

lago_sdk.Prefix = Prefix
main()
"""


def test_a_further_signal_ends_it_at_once():
    stuck = _PROGRAM.replace("time.sleep(0.1)", 'print("stuck", flush=True); time.sleep(60)')
    argv = [sys.executable, "-c", stuck, "status"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.terminate()
        assert program.stdout.readline() == "stuck\n"
        time.sleep(0.5)
        program.terminate()
        assert program.wait(timeout=20) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_unwinds_and_is_128_and_its_number(number):
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(number)
        program.send_signal(number)  # as `timeout` does: to the program, and to its group
        out, err = program.communicate(timeout=20)
    assert program.returncode == 128 + number
    assert out == "unwound\n"
    assert "Traceback" not in err


def test_an_ignored_hangup_stays_ignored():
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from lago_cli.failures import install_signal_handlers\n"
        "install_signal_handlers()\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
