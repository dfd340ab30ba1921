"""Options of the unit tests, and what all of them can do without."""

import os

import pytest
from hypothesis import HealthCheck, settings

# How fast the machine is says nothing about the code, and specs are drawn wrong on purpose.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the renderers give into the golden files instead of comparing",
    )


@pytest.fixture(autouse=True)
def no_wait_for_the_disk(monkeypatch):
    """Journals wait for the disk at each step, which takes a test a second and shows it nothing."""
    monkeypatch.setattr("os.fdatasync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """Who runs the tests has settings and a template store that are none of their business."""
    for name in [name for name in os.environ if name.startswith("LAGO_")]:
        monkeypatch.delenv(name)
