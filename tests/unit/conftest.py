"""Options of the unit tests, and what all of them can do without."""

import pytest


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
