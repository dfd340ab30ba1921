"""Downloads: whole or not at all."""

import functools
import http.server
import threading

import pytest

from lago_sdk.adapters.http import download
from lago_sdk.adapters.http_client import Limits
from lago_sdk.errors import LagoError

CONTENT = bytes(range(256)) * 8192


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if self.path == "/none":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2 if self.path == "/cut" else None])

    def log_message(self, *arguments):
        del arguments


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        serve = functools.partial(running.serve_forever, poll_interval=0.02)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def fetch(url, path):
    told = []
    limits = Limits(attempts=2, backoff=0.01)
    download(url, path, progress=lambda *way: told.append(way), limits=limits)
    return told


@pytest.mark.parametrize("name", ["whole", "moved"])
def test_a_file_arrives_whole_and_tells_how_far_it_is(server, tmp_path, name):
    path = tmp_path / "new" / "file"
    told = fetch(f"{server}/{name}", path)
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_this_machine_is_copied(tmp_path):
    (tmp_path / "a b").write_bytes(CONTENT)
    fetch(f"file://{tmp_path}/a%20b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize(("name", "told"), [("none", "404"), ("cut", "cannot download")])
def test_what_fails_leaves_what_was_there(server, tmp_path, name, told):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(LagoError, match=told):
        fetch(f"{server}/{name}", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://h/x", "kind is not known"),
        ("http://127.0.0.1:1/x", "cannot download"),
        ("http://[/x", "cannot download|Invalid"),
        ("file:///no/such/file", "No such file"),
    ],
)
def test_urls_that_lead_nowhere(tmp_path, url, told):
    with pytest.raises(LagoError, match=told):
        fetch(url, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
