"""Fixtures for pytest, there wherever lago_sdk is installed.

::

    def test_web_answers(lago_prefix):
        lago_prefix.vms["web"].ssh("wget -q -O - http://db").check()

``lago_prefix`` is a running prefix, brought up once for each test module and destroyed after
it. It is made from ``lago_init_file``: the ini option of that name, ``LagoInitFile`` beside the
test module when it is not set. ``lago_clean`` is the same prefix as it was when it had just come
up: it is reverted before a test where anything has happened to it. Override any of them to say
otherwise. With ``--lago-cache`` the prefix comes up with its deploy scripts run, and from the
cache of checkpoints where one was brought up before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lago_sdk.config import Config
    from lago_sdk.prefix import Prefix

_INIT_FILE = "LagoInitFile"
_SNAPSHOT = "clean"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our options."""
    group = parser.getgroup("lago")
    group.addoption(
        "--lago-keep",
        action="store_true",
        help="leave prefixes running after the tests, to look at them",
    )
    group.addoption(
        "--lago-cache",
        action="store_true",
        help="bring prefixes up provisioned, and from checkpoints of the cache where there are any",
    )
    parser.addini("lago_cache", help="as --lago-cache", type="bool", default=False)
    parser.addini(
        "lago_init_file",
        help=f"init file of the fixture lago_prefix; default: {_INIT_FILE} beside the test module",
        default="",
    )


@pytest.fixture(scope="session")
def lago_config() -> Config:
    """Settings of all prefixes of the session: those of files and environment."""
    from lago_sdk.config import Config

    return Config.load()


@pytest.fixture(scope="module")
def lago_init_file(request: pytest.FixtureRequest) -> Path:
    """The init file that ``lago_prefix`` is made from."""
    configured = str(request.config.getini("lago_init_file"))
    if configured:
        return request.config.rootpath / configured
    return request.path.parent / _INIT_FILE


@pytest.fixture(scope="module")
def lago_prefix(
    lago_init_file: Path,
    lago_config: Config,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Prefix]:
    """A running prefix, the same for all tests of the module."""
    from lago_sdk.prefix import Prefix

    options = request.config
    cache = bool(options.getoption("--lago-cache") or options.getini("lago_cache"))
    keep = bool(options.getoption("--lago-keep"))
    workdir = tmp_path_factory.mktemp("lago") / "workdir"
    with Prefix.create(
        lago_init_file, workdir=workdir, config=lago_config, keep=keep, cache=cache
    ) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture(scope="module")
def lago_snapshot(lago_prefix: Prefix) -> str:
    """Name of the snapshot that ``lago_clean`` goes back to; made of the running prefix.

    Override it to prepare the prefix first: ``lago_prefix.deploy()``, then the snapshot.
    """
    lago_prefix.create_snapshots(_SNAPSHOT)
    return _SNAPSHOT


@pytest.fixture
def lago_clean(lago_prefix: Prefix, lago_snapshot: str) -> Prefix:
    """The running prefix of the module as it was at first, whatever tests did to it since."""
    lago_prefix.revert_snapshots(lago_snapshot, if_dirty=True)
    return lago_prefix
