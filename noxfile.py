"""What developers and CI run. `nox -l` lists it; `scripts/test` sets the machine up and runs it.

Each session has a virtual environment of its own, kept for the next time. `nox --no-venv` uses
the environment that nox runs in, which is what `scripts/test` does: one environment for all.
"""

import os
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
    session.run("python", "-m", "pytest", "tests/unit", *session.posargs)


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
    is_root = os.geteuid() == 0
    runs = {f"private host, as {'root' if is_root else 'you'}": (*pytest, *tests)}
    if is_root:
        as_user = (str(HERE / "scripts" / "as-test-user"), *pytest, *tests)
        runs["private host, as an ordinary user"] = as_user
    in_sandbox = ("python", "tests/functional/sandbox.py", *pytest, *tests)
    runs["system host, in a sandbox"] = in_sandbox
    failed = []
    # What a run is not about (root, private hosts) is deselected by tests/functional/conftest.py.
    for title, command in runs.items():
        session.log(f"functional tests: {title}")
        try:
            session.run(*command, *session.posargs, external=True)
        except CommandFailed:
            failed.append(title)
    if failed:
        session.error(f"functional tests failed: {'; '.join(failed)}")


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
