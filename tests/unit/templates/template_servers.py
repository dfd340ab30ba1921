"""An HTTP server on 127.0.0.1 that plays whoever publishes templates, faults included."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class File:
    """What the server has under one path."""

    def __init__(self, content, *, etag=None, ranges=True):
        self.content = content
        self.etag = f'"{hashlib.md5(content).hexdigest()}"' if etag is None else etag
        self.ranges = ranges
        self.die_at: list[int] = []  # at which byte of the file the next answers break off
        self.statuses: list[int] = []  # what the next answers are instead
        self.redirect: str | None = None
        self.announced: int | None = None  # a Content-Length that is not true
        self.silence = 0.0  # seconds before the answer
        self.pause_at: int | None = None  # byte at which it stands still until `resume` is set
        self.resume = threading.Event()
        self.encoding: str | None = None


class Server:
    """Files by path, and what was asked for."""

    def __init__(self):
        self.files: dict[str, File] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.sent: Counter[str] = Counter()
        self.has_head = True
        self.url = ""

    def add(self, path, content, **values):
        self.files[path] = File(content, **values)
        return self.files[path]

    def count(self, path, method="GET"):
        return sum(1 for found in self.requests if found[:2] == (method, path))

    def ranges(self, path):
        return [found[2] for found in self.requests if found[:2] == ("GET", path)]


def make_handler(server):  # noqa: C901 - one branch for each fault it can play
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.answer(is_head=True)

        def do_GET(self):
            self.answer(is_head=False)

        def answer(self, *, is_head):
            path = self.path.lstrip("/")
            server.requests.append((self.command, path, self.headers.get("Range")))
            file = server.files.get(path)
            if is_head and not server.has_head:
                self.end(405)
            elif file is None:
                self.end(404)
            elif file.redirect is not None:
                self.end(302, Location=file.redirect)
            elif file.statuses and not is_head:
                self.end(file.statuses.pop(0))
            else:
                time.sleep(file.silence)
                self.send_file(path, file, is_head=is_head)

        def end(self, code, **headers):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_file(self, path, file, *, is_head):
            total, start = len(file.content), self.find_start(file)
            if start >= total > 0 and start:
                self.end(416, **{"Content-Range": f"bytes */{total}"})
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if file.etag:
                self.send_header("ETag", file.etag)
            if file.encoding:
                self.send_header("Content-Encoding", file.encoding)
            self.send_header("Content-Length", str((file.announced or total) - start))
            self.end_headers()
            if not is_head:
                self.send_body(path, file, start)

        def find_start(self, file):
            found = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
            condition = self.headers.get("If-Range")
            if not found or not file.ranges or (condition and condition != file.etag):
                return 0
            return int(found[1])

        def send_body(self, path, file, start):
            end = file.die_at.pop(0) if file.die_at else len(file.content)
            if file.pause_at is not None and start <= file.pause_at:
                self.send_piece(path, file.content[start : file.pause_at])
                start = file.pause_at
                file.resume.wait(30)
            self.send_piece(path, file.content[start:end])
            if end < len(file.content) or file.announced:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        def send_piece(self, path, data):
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                self.close_connection = True
                return
            server.sent[path] += len(data)

    return Handler


@contextmanager
def running_server():
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        for file in server.files.values():
            file.resume.set()
        http.shutdown()
        thread.join()
        http.server_close()
