"""A server that publishes templates, and settings that have a store of their own."""

import pytest
from template_servers import running_server

from lago_sdk.config import Config


@pytest.fixture
def server():
    with running_server() as found:
        yield found


@pytest.fixture
def config(tmp_path):
    return Config(
        template_store=tmp_path / "store",
        template_repos=tmp_path / "repos",
        download_timeout=5,
        download_attempts=3,
    )
