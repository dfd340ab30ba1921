"""Shipped helpers for tests: a fake of every port, and the pytest plugin.

`make_world` wires the fakes, and `make_prefix` makes a prefix in that world which takes
milliseconds to start, so that the logic of a test suite can be tested without a hypervisor.
Names are imported when they are first used: pytest loads this package in every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lago_sdk.testing.agents import FakeAgent
    from lago_sdk.testing.clock import FakeClock
    from lago_sdk.testing.consoles import FakeConsole
    from lago_sdk.testing.files import FakeFiles
    from lago_sdk.testing.fingerprints import FakeFingerprints
    from lago_sdk.testing.guest import Call, FakeGuest
    from lago_sdk.testing.host import FakeHost
    from lago_sdk.testing.hypervisor import FakeHypervisor
    from lago_sdk.testing.images import FakeImages, FakeTemplates
    from lago_sdk.testing.keys import FakeKeys
    from lago_sdk.testing.leases import FakeLeases
    from lago_sdk.testing.media import Build, FakeArchives, FakeBuilder, FakeDownload, FakeSeeds
    from lago_sdk.testing.offline import FakeDisks
    from lago_sdk.testing.packets import FakeTap
    from lago_sdk.testing.plugins import FakeOutside, FakePlugins
    from lago_sdk.testing.relays import FakeRelay, FakeRelays
    from lago_sdk.testing.world import EventLog, FakeGuests, FakeWorld, make_prefix, make_world

_HOMES = {
    "agents": "FakeAgent",
    "clock": "FakeClock",
    "consoles": "FakeConsole",
    "files": "FakeFiles",
    "fingerprints": "FakeFingerprints",
    "guest": "Call FakeGuest",
    "host": "FakeHost",
    "hypervisor": "FakeHypervisor",
    "images": "FakeImages FakeTemplates",
    "keys": "FakeKeys",
    "leases": "FakeLeases",
    "media": "Build FakeArchives FakeBuilder FakeDownload FakeSeeds",
    "offline": "FakeDisks",
    "plugins": "FakeOutside FakePlugins",
    "packets": "FakeTap",
    "relays": "FakeRelay FakeRelays",
    "world": "EventLog FakeGuests FakeWorld make_prefix make_world",
}
"""Public names by the module they live in."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Build",
    "Call",
    "EventLog",
    "FakeAgent",
    "FakeArchives",
    "FakeBuilder",
    "FakeClock",
    "FakeConsole",
    "FakeDisks",
    "FakeDownload",
    "FakeFiles",
    "FakeFingerprints",
    "FakeGuest",
    "FakeGuests",
    "FakeHost",
    "FakeHypervisor",
    "FakeImages",
    "FakeKeys",
    "FakeLeases",
    "FakeOutside",
    "FakePlugins",
    "FakeRelay",
    "FakeRelays",
    "FakeSeeds",
    "FakeTap",
    "FakeTemplates",
    "FakeWorld",
    "make_prefix",
    "make_world",
]


def __getattr__(name: str) -> object:
    """Import the public name *name* from the module it lives in."""
    try:
        module = _HOME_OF[name]
    except KeyError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
