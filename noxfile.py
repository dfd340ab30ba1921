"""What developers and CI run. `nox -l` lists it; `scripts/test` sets the machine up and runs it.

Each session has a virtual environment of its own, kept for the next time. `nox --no-venv` uses
the environment that nox runs in, which is what `scripts/test` does: one environment for all.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "unit", "docs", "functional"]

HERE = Path(__file__).parent
CODE = ("src", "tests", "examples", "benchmarks", "noxfile.py")


def install(session: nox.Session) -> None:
    """Install the package with what its development needs, unless the environment is shared."""
    if session.venv_backend != "none":
        session.install("-e", ".[dev]")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, common mistakes and format."""
    install(session)
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def typing(session: nox.Session) -> None:
    """Types, strictly."""
    install(session)
    session.run("mypy", *session.posargs)


@nox.session
def unit(session: nox.Session) -> None:
    """Tests that need no hypervisor."""
    install(session)
    session.run("python", "-m", "pytest", "-n", "auto", "tests/unit", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Links, init files and Python in the documents are right."""
    install(session)
    session.run("python", "-m", "pytest", "tests/unit/test_documents.py", *session.posargs)


@nox.session
def functional(session: nox.Session) -> None:
    """Real VMs: on the private host, as root and as an ordinary user, and on a system libvirtd.

    As root the ordinary user is ``lago-ci``, made where it is absent. The system libvirtd runs
    in namespaces of its own, where nothing of the machine can be touched.
    """
    install(session)
    # Modules of examples and tests may have the same name.
    pytest = ("python", "-m", "pytest", "--import-mode=importlib", "--timeout=600")
    pytest += ("-p", "no:cacheprovider")
    tests = ("tests/functional", "examples")
    in_sandbox = ("python", "tests/functional/sandbox.py", *pytest, *tests)
    if os.geteuid() == 0:
        as_user = (str(HERE / "scripts" / "as-test-user"), *pytest, *tests)
        first = {"private host, as root": (*pytest, *tests)}
        second = {
            "private host, as an ordinary user": as_user,
            "system host, in a sandbox": in_sandbox,
        }
    else:
        first = {"private host, as you": (*pytest, *tests)}
        second = {"system host, in a sandbox": in_sandbox}
    # What a run is not about (root, private hosts) is deselected by tests/functional/conftest.py.
    # Booting guests wait for each other often enough that two rows keep two processors busy.
    with ThreadPoolExecutor() as pool:
        other = pool.submit(run_quietly, session, second)
        failed = []
        for title, command in first.items():
            session.log(f"functional tests: {title}")
            try:
                session.run(*command, *session.posargs, external=True)
            except CommandFailed:
                failed.append(title)
        for title, code, output in other.result():
            session.log(f"functional tests: {title}")
            sys.stdout.write(output)
            failed += [title] if code else []
    if failed:
        session.error(f"functional tests failed: {'; '.join(failed)}")


def run_quietly(
    session: nox.Session, runs: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, int, str]]:
    """Run commands one after the other; returns title, exit code and output of each."""
    done = []
    for title, command in runs.items():
        finished = subprocess.run(  # noqa: S603 - commands of this file
            [*command, *session.posargs],
            env={**os.environ, **{k: v for k, v in session.env.items() if v is not None}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        done.append((title, finished.returncode, finished.stdout))
    return done


@nox.session
def bench(session: nox.Session) -> None:
    """Print the benchmarks' numbers; they are not tests."""
    install(session)
    for path in sorted((HERE / "benchmarks").glob("*.py")):
        session.log(path.stem)
        session.run("python", str(path.relative_to(HERE)), *session.posargs)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Two VMs from nothing."""
    session.run(str(HERE / "scripts" / "demo"), external=True)
