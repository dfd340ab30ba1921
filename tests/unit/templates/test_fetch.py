"""Fetching templates from repositories on a real HTTP server and on this machine."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import lzma
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from pathlib import Path

import pytest

from lago_sdk.config import Config
from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import Note, Progress, StageFinished
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates import locations
from lago_sdk.templates.fetch import fetch_template
from lago_sdk.templates.partial import Partial
from lago_sdk.templates.store import TemplateStore

NOISE = random.Random(1).randbytes(3 << 20)
IMAGE = NOISE + bytes(4 << 20) + NOISE[: 1 << 20]
"""A raw image with a hole."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    original = locations.Limits

    def make(**values):
        return original(**{"backoff": 0.01, **values})

    monkeypatch.setattr(locations, "Limits", make)


@functools.cache
def compress(kind, data):
    if kind == "zst":
        return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout
    return {"xz": functools.partial(lzma.compress, preset=0), "gz": gzip.compress, "": bytes}[kind](
        data
    )


def digest(data, algorithm="sha256"):
    return hashlib.new(algorithm, data).hexdigest()


def write_repository(tmp_path, base, *, kind="http", handle="el9.raw", **version):
    key = "baseurl" if kind == "http" else "root"
    (tmp_path / "repos").mkdir(exist_ok=True)
    path = tmp_path / "repos" / "lab.json"
    entry = {"source": "here", "handle": handle, "timestamp": 1700000000, **version}
    document = {
        "name": "lab",
        "sources": {"here": {"type": kind, "args": {key: str(base)}}},
        "templates": {"el9": {"versions": {"1": entry}}},
    }
    path.write_text(json.dumps(document))
    return path


def publish(server, kind="xz", image=IMAGE, algorithm="sha256"):
    """Put an image with its digest on the server, and return what serves it."""
    ending = f".{kind}" if kind else ""
    server.add("el9.raw.hash", (digest(image, algorithm) + "\n").encode())
    return server.add(f"el9.raw{ending}", compress(kind, image))


def partials(config):
    return sorted((config.template_store / ".tmp").glob(".partial/*/*"))


class TestForms:
    @pytest.mark.parametrize("kind", ["xz", "zst", "gz", ""])
    def test_each_compression_that_a_server_has(self, tmp_path, server, config, kind):
        publish(server, kind)
        write_repository(tmp_path, server.url)
        template = fetch_template("el9", config=config)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert (template.version, template.timestamp) == ("1", 1700000000)
        assert template.image.format is DiskFormat.RAW
        assert template.image.size == len(IMAGE)
        assert template.image.digest == f"sha256:{digest(IMAGE)}"
        assert TemplateStore(config.template_store).verify("el9") == template
        assert list((config.template_store / ".tmp").iterdir()) == []

    @pytest.mark.parametrize("kind", ["xz", ""])
    def test_zeros_take_no_room(self, tmp_path, server, config, kind):
        publish(server, kind)
        write_repository(tmp_path, server.url)
        status = Path(fetch_template("el9", config=config).image.path).stat()
        assert status.st_size == len(IMAGE)
        assert status.st_blocks * 512 <= len(IMAGE) - (3 << 20)

    @pytest.mark.parametrize("kind", ["xz", "zst", "gz", ""])
    def test_from_a_directory_of_this_machine(self, tmp_path, config, kind, monkeypatch):
        root = tmp_path / "images"
        root.mkdir()
        ending = f".{kind}" if kind else ""
        (root / f"el9.raw{ending}").write_bytes(compress(kind, IMAGE))
        (root / "el9.raw.hash").write_text(digest(IMAGE, "sha512"))
        (root / "el9.raw.metadata").write_text('{"distro": "el9", "root-partition": "vda1"}')
        monkeypatch.setenv("IMAGES", str(root))
        write_repository(tmp_path, "$IMAGES", kind="file")
        template = fetch_template("el9", config=config)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert template.image.metadata["distro"] == "el9"
        assert (root / f"el9.raw{ending}").exists()

    def test_the_content_counts_and_not_the_name(self, tmp_path, server, config):
        publish(server)
        server.files["el9.raw.xz"] = server.add("other", compress("gz", IMAGE))
        write_repository(tmp_path, server.url)
        assert Path(fetch_template("el9", config=config).image.path).read_bytes() == IMAGE

    @pytest.mark.parametrize("code", [36, 40], ids=["1 GiB", "4 GiB"])
    def test_xz_data_that_asks_for_all_memory_is_refused(self, tmp_path, server, config, code):
        # A hostile header: the block's dictionary is said to be huge (.xz format, 5.3.1).
        data = bytearray(compress("xz", IMAGE))
        size = (data[12] + 1) * 4
        data[16] = code
        data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
        server.add("el9.raw.xz", bytes(data))
        server.add("el9.raw.hash", digest(IMAGE).encode())
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match="more than 130 MiB of memory") as caught:
            fetch_template("el9", config=config)
        assert "xz -9" in caught.value.hint
        assert partials(config) == []

    def test_a_server_that_calls_a_file_encoded_does_not_unpack_it(self, tmp_path, server, config):
        publish(server, "gz").encoding = "gzip"
        write_repository(tmp_path, server.url)
        assert Path(fetch_template("el9", config=config).image.path).read_bytes() == IMAGE

    def test_streams_one_after_another(self, tmp_path, server, config):
        publish(server, "xz")
        halves = (compress("xz", part) for part in (IMAGE[:999999], IMAGE[999999:]))
        server.add("el9.raw.xz", bytes(4).join(halves))
        write_repository(tmp_path, server.url)
        assert Path(fetch_template("el9", config=config).image.path).read_bytes() == IMAGE

    def test_a_server_without_head(self, tmp_path, server, config):
        server.has_head = False
        publish(server, "")
        write_repository(tmp_path, server.url)
        assert fetch_template("el9", config=config).image.size == len(IMAGE)

    def test_redirects_are_followed(self, tmp_path, server, config):
        publish(server, "")
        server.files["mirror/el9.raw"] = server.files.pop("el9.raw")
        server.add("el9.raw", b"").redirect = "/mirror/el9.raw"
        write_repository(tmp_path, server.url)
        assert fetch_template("el9", config=config).image.size == len(IMAGE)

    def test_a_stored_one_asks_no_server(self, tmp_path, server, config):
        publish(server)
        write_repository(tmp_path, server.url)
        first = fetch_template("el9", config=config)
        before = len(server.requests)
        assert fetch_template("el9", config=config) == first
        assert len(server.requests) == before

    def test_a_qcow2_image_that_names_another_file_is_refused(self, tmp_path, server, config):
        path = tmp_path / "evil.qcow2"
        options = ["-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw"]
        subprocess.run(["qemu-img", "create", *options, str(path), "1M"], check=True)
        publish(server, "", image=path.read_bytes())
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match=r"no image that can be used.*"):
            fetch_template("el9", config=config)
        assert TemplateStore(config.template_store).list() == ()


class TestDigests:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_strong_ones(self, tmp_path, server, config, algorithm):
        publish(server, algorithm=algorithm)
        write_repository(tmp_path, server.url)
        events = []
        fetch_template("el9", config=config, observer=events.append)
        ends = [event.detail for event in events if isinstance(event, StageFinished)]
        assert any(f"{algorithm} verified" in detail for detail in ends)
        assert not [event for event in events if isinstance(event, Note) and event.warning]

    def test_sha1_is_taken_with_a_warning(self, tmp_path, server, config):
        publish(server, algorithm="sha1")
        write_repository(tmp_path, server.url)
        events = []
        fetch_template("el9", config=config, observer=events.append)
        warnings = [event.message for event in events if isinstance(event, Note) and event.warning]
        assert len(warnings) == 1
        assert "SHA-1" in warnings[0]

    def test_a_sidecar_of_the_compressed_file_may_mean_either(self, tmp_path, server, config):
        file = publish(server)
        server.add("el9.raw.xz.hash", f"{digest(file.content)}  el9.raw.xz\n".encode())
        write_repository(tmp_path, server.url)
        assert fetch_template("el9", config=config).image.digest == f"sha256:{digest(IMAGE)}"

    @pytest.mark.parametrize("kind", ["xz", ""])
    def test_a_wrong_one_removes_the_download_and_names_both(self, tmp_path, server, config, kind):
        publish(server, kind)
        server.add("el9.raw.hash", b"0" * 64)
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError) as caught:
            fetch_template("el9", config=config)
        assert f"sha256:{digest(IMAGE)}" in caught.value.message
        assert f"sha256:{'0' * 64}" in caught.value.message
        assert partials(config) == []
        assert TemplateStore(config.template_store).list() == ()

    def test_damaged_compressed_data_says_what_was_expected(self, tmp_path, server, config):
        file = publish(server)
        middle = len(file.content) // 2
        file.content = file.content[:middle] + b"damage" + file.content[middle + 6 :]
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match=f"damaged.*sha256:{digest(IMAGE)}"):
            fetch_template("el9", config=config)
        assert partials(config) == []

    @pytest.mark.parametrize("content", [b"", b"\n", b"not a digest", b"abc123"])
    def test_an_unreadable_one(self, tmp_path, server, config, content):
        publish(server)
        server.add("el9.raw.hash", content)
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match="has no digest of the template 'el9'"):
            fetch_template("el9", config=config)

    def test_none_at_all(self, tmp_path, server, config):
        publish(server)
        del server.files["el9.raw.hash"]
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match=r"no digest of the template 'el9': no .*el9\.raw"):
            fetch_template("el9", config=config)


class TestFaults:
    def test_a_server_that_dies_is_asked_for_the_rest(self, tmp_path, server, config):
        file = publish(server, "")
        file.die_at = [1 << 20, 3 << 20, 5 << 20]
        write_repository(tmp_path, server.url)
        events = []
        template = fetch_template("el9", config=config, observer=events.append)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert server.count("el9.raw") == 4
        assert server.sent["el9.raw"] < len(IMAGE) + (1 << 20)
        assert any("again in" in event.message for event in events if isinstance(event, Note))

    def test_a_server_that_cannot_resume_is_asked_for_all(self, tmp_path, server, config):
        file = publish(server, "xz")
        file.ranges = False
        file.die_at = [1 << 20, 2 << 20]
        write_repository(tmp_path, server.url)
        assert Path(fetch_template("el9", config=config).image.path).read_bytes() == IMAGE

    def test_a_file_that_changes_meanwhile_is_fetched_anew(self, tmp_path, server, config):
        file = publish(server, "", image=b"x" + IMAGE)
        file.die_at = [2 << 20]
        changed = publish(server, "")
        server.files["el9.raw"] = file
        original = file.die_at

        class Swap(list):
            def pop(self, index):
                server.files["el9.raw"] = changed
                return original.pop(index)

        file.die_at = Swap(original)
        write_repository(tmp_path, server.url)
        assert Path(fetch_template("el9", config=config).image.path).read_bytes() == IMAGE
        assert server.ranges("el9.raw")[1] is not None

    def test_a_server_that_always_dies_says_how_far_it_came(self, tmp_path, server, config):
        file = publish(server, "")
        file.die_at = [1000] * 50
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match="after 1000 bytes"):
            fetch_template("el9", config=config)
        assert server.count("el9.raw") == 4  # one that brought something, three that did not
        assert len(partials(config)) == 2  # kept for the next try

    def test_a_length_that_is_not_true(self, tmp_path, server, config):
        file = publish(server, "")
        file.announced, file.ranges = len(IMAGE) + 5, False
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match=rf"after {len(IMAGE)} bytes"):
            fetch_template("el9", config=config)

    def test_nothing_there(self, tmp_path, server, config):
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match=r"lists 'el9', version '1', but there is no"):
            fetch_template("el9", config=config)

    def test_errors_that_pass(self, tmp_path, server, config):
        publish(server).statuses = [500, 503]
        write_repository(tmp_path, server.url)
        assert fetch_template("el9", config=config).image.size == len(IMAGE)

    def test_errors_that_stay(self, tmp_path, server, config):
        file = publish(server)
        file.statuses = [500] * 50
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match="the server says 500") as caught:
            fetch_template("el9", config=config)
        assert caught.value.hint
        assert server.count("el9.raw.xz") == 3

    def test_a_circle_of_redirects(self, tmp_path, server, config):
        publish(server, "").redirect = "/el9.raw"
        write_repository(tmp_path, server.url)
        with pytest.raises(TemplateError, match="redirects in a circle"):
            fetch_template("el9", config=config)

    def test_a_silent_server(self, tmp_path, server, config):
        publish(server, "").silence = 2
        write_repository(tmp_path, server.url)
        hasty = Config(
            template_store=config.template_store,
            template_repos=config.template_repos,
            download_timeout=0.1,
            download_attempts=2,
        )
        begin = time.monotonic()
        with pytest.raises(TemplateError, match=r"no answer for 0\.1 s"):
            fetch_template("el9", config=hasty)
        assert time.monotonic() - begin < 2

    def test_a_server_that_stands_still_in_the_middle(self, tmp_path, server, config):
        publish(server, "").pause_at = 1 << 20
        write_repository(tmp_path, server.url)
        hasty = Config(
            template_store=config.template_store,
            template_repos=config.template_repos,
            download_timeout=0.2,
            download_attempts=2,
        )
        with pytest.raises(TemplateError, match=r"no answer for 0\.2 s after"):
            fetch_template("el9", config=hasty)

    def test_no_server_at_all(self, tmp_path, config):
        write_repository(tmp_path, "http://127.0.0.1:9")
        with pytest.raises(TemplateError, match="Connection refused") as caught:
            fetch_template("el9", config=config)
        assert "http_proxy" in (caught.value.hint or "")

    def test_a_store_that_cannot_be_written(self, tmp_path, server, config):
        publish(server)
        write_repository(tmp_path, server.url)
        config = Config(template_store=Path("/proc/store"), template_repos=config.template_repos)
        with pytest.raises(TemplateError, match="template store"):
            fetch_template("el9", config=config)
        assert server.count("el9.raw.xz") == 0

    def test_a_full_disk(self, tmp_path, server, config):
        publish(server)
        write_repository(tmp_path, server.url)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
        try:
            with pytest.raises(TemplateError, match="File too large") as caught:
                fetch_template("el9", config=config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert "lagoctl template gc" in caught.value.hint
        assert partials(config) == []
        assert fetch_template("el9", config=config).image.size == len(IMAGE)

    @pytest.mark.parametrize("handle", ["../secret", "a/../../b", "/etc/passwd", "%2e%2e/x", ""])
    def test_paths_that_leave_the_source(self, tmp_path, server, config, handle):
        write_repository(tmp_path, server.url, handle=handle)
        config = Config(
            template_store=config.template_store,
            template_repo_path=(str(tmp_path / "repos" / "lab.json"),),
        )
        with pytest.raises(TemplateError, match=r"cannot be the path|expected text"):
            fetch_template("el9", config=config)
        assert server.requests == []


SCRIPT = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lago_sdk.config import Config
    from lago_sdk.events import Progress
    from lago_sdk.templates.fetch import fetch_template

    def tell(event):
        if isinstance(event, Progress):
            print("progress", event.done, event.total, flush=True)

    root = Path(sys.argv[1])
    config = Config(template_store=root / "store", template_repos=root / "repos")
    print(fetch_template("el9", config=config, observer=tell).image.digest, flush=True)
""")


def start(tmp_path):
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


MEASURE = textwrap.dedent("""
    import re, sys
    from pathlib import Path
    from lago_sdk import Config, fetch_template

    root = Path(sys.argv[1])
    fetch_template("el9", config=Config(template_store=root / "s", template_repos=root / "repos"))
    # Not ru_maxrss, which has what the process was before it became this program.
    print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
""")


def test_memory_stays_small_with_the_largest_dictionary_of_xz(tmp_path, server):
    image = bytes(96 << 20)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 << 20}]
    server.add("el9.raw.hash", digest(image).encode())
    server.add("el9.raw.xz", lzma.compress(image, filters=filters))
    write_repository(tmp_path, server.url)
    argv = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    # Python and its libraries take half of what the dictionary leaves of 100 MiB.
    assert 64 < int(done.stdout) < 105


class TestProcesses:
    @pytest.mark.parametrize("kind", ["xz", ""])
    def test_one_that_is_killed_is_taken_up_at_its_byte(self, tmp_path, server, config, kind):
        file = publish(server, kind)
        path = f"el9.raw.{kind}".rstrip(".")
        file.pause_at = 2 << 20
        write_repository(tmp_path, server.url)
        process = start(tmp_path)
        wait_for(lambda: any(x.stat().st_size == file.pause_at for x in partials(config)))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        file.pause_at = None
        file.resume.set()
        template = fetch_template("el9", config=config)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert server.ranges(path) == [None, f"bytes={2 << 20}-"]
        assert list((config.template_store / ".tmp").iterdir()) == []

    @pytest.mark.parametrize("kind", ["xz", ""])
    @pytest.mark.parametrize("byte", [0, 1, 5, 6, 7, 4095, 65536, (1 << 20) + 1, -2, -1])
    def test_any_beginning_that_a_killed_one_leaves(self, tmp_path, server, config, kind, byte):
        file = publish(server, kind)
        path = f"el9.raw.{kind}".rstrip(".")
        byte %= len(file.content)
        directory = config.template_store / ".tmp" / ".partial" / "el9"
        with Partial(directory, f"{server.url}/{path}") as partial:
            partial.begin(0, len(file.content), file.etag)
            partial.write(file.content[:byte])
        write_repository(tmp_path, server.url)
        template = fetch_template("el9", config=config)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert server.ranges(path) == [f"bytes={byte}-" if byte else None]
        assert server.sent[path] == len(file.content) - byte

    def test_one_that_is_killed_before_it_knew_the_server(self, tmp_path, server, config):
        file = publish(server, "")
        directory = config.template_store / ".tmp" / ".partial" / "el9"
        with Partial(directory, f"{server.url}/el9.raw") as partial:
            partial.begin(0, len(file.content), file.etag)
            partial.write(b"of an older file")
        (record,) = directory.glob("*.json")
        record.write_text('{"url": ')
        write_repository(tmp_path, server.url)
        template = fetch_template("el9", config=config)
        assert Path(template.image.path).read_bytes() == IMAGE
        assert server.ranges("el9.raw") == [None]

    def test_one_that_is_killed_after_the_last_byte(self, tmp_path, server, config):
        file = publish(server, "")
        write_repository(tmp_path, server.url)
        file.announced, file.ranges = len(IMAGE) + 1, False
        with pytest.raises(TemplateError):
            fetch_template("el9", config=config)
        file.announced, file.ranges = None, True
        server.sent.clear()
        assert fetch_template("el9", config=config).image.size == len(IMAGE)
        assert server.sent["el9.raw"] == 0

    def test_two_at_once_fetch_once_and_the_second_sees_progress(self, tmp_path, server, config):
        file = publish(server, "")
        file.pause_at = 4 << 20
        write_repository(tmp_path, server.url)
        first = start(tmp_path)
        wait_for(lambda: any(x.stat().st_size == file.pause_at for x in partials(config)))
        second = start(tmp_path)
        line = second.stdout.readline()  # it waits, and tells of the first one's progress
        assert line.startswith("progress ")
        assert line.split()[2] == str(len(IMAGE))
        file.resume.set()
        for process in (first, second):
            out, err = process.communicate(timeout=30)
            assert f"sha256:{digest(IMAGE)}" in out, err
        assert server.count("el9.raw") == 1

    def test_many_threads_fetch_once(self, tmp_path, server, config):
        publish(server)
        write_repository(tmp_path, server.url)
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(fetch_template("el9", config=config)))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 6
        assert server.count("el9.raw.xz") == 1


def test_progress_has_a_rate_and_the_time_left(tmp_path, server, config):
    file = publish(server, "")
    file.pause_at = 4 << 20
    write_repository(tmp_path, server.url)
    events = []
    threading.Timer(0.5, file.resume.set).start()
    fetch_template("el9", config=config, observer=events.append)
    told = [event for event in events if isinstance(event, Progress)]
    assert (told[-1].done, told[-1].total) == (len(IMAGE), len(IMAGE))
    assert told[-1].rate
    assert told[-1].seconds_left == 0
    assert Progress(stage="x", done=10, total=30, rate=5.0).seconds_left == 4.0
    assert Progress(stage="x", done=10, total=None, rate=5.0).seconds_left is None


def test_a_template_that_nobody_offers(tmp_path, config):
    write_repository(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(TemplateNotFoundError, match="nobody offers a template 'el99'") as caught:
        fetch_template("el99", config=config)
    assert caught.value.hint == "did you mean 'el9'?"


def test_a_version_that_is_not_there(tmp_path, config):
    write_repository(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(TemplateNotFoundError, match=r"'lab' has no version '2' of 'el9'"):
        fetch_template("el9", "2", config=config)
