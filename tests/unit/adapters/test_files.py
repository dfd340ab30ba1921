"""Files are replaced whole, trees are removed with care, locks say who holds them."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest

from lago_sdk.adapters import files
from lago_sdk.errors import LagoError, LockedError
from lago_sdk.ports import Files

HOLD_LOCK = """
import sys, time
from pathlib import Path
from lago_sdk.adapters import files
with files.lock(Path(sys.argv[1]), timeout=5, purpose="start"):
    print("held", flush=True)
    time.sleep(60)
"""


def as_port() -> Files:
    return files


def test_the_module_is_the_port():
    assert as_port().write_atomic is files.write_atomic


class TestWriteAtomic:
    def test_writes_text_and_bytes(self, tmp_path):
        files.write_atomic(tmp_path / "text", "grüß dich")
        files.write_atomic(tmp_path / "bytes", b"\0\1")
        assert (tmp_path / "text").read_text("utf-8") == "grüß dich"
        assert (tmp_path / "bytes").read_bytes() == b"\0\1"

    def test_replaces_content_and_mode_whatever_the_umask(self, tmp_path):
        path = tmp_path / "key"
        path.write_text("old")
        before = os.umask(0o077)
        try:
            files.write_atomic(path, "new", mode=0o664)
        finally:
            os.umask(before)
        assert path.read_text() == "new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o664

    def test_a_secret_is_never_readable_by_others(self, tmp_path):
        files.write_atomic(tmp_path / "key", "secret", mode=0o600)
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600

    @pytest.mark.parametrize("durable", [True, False])
    def test_leaves_no_other_file(self, tmp_path, durable):
        files.write_atomic(tmp_path / "a", "1", durable=durable)
        files.write_atomic(tmp_path / "a", "2", durable=durable)
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_failure_keeps_the_old_content_and_no_rest(self, tmp_path):
        path = tmp_path / "taken"
        path.mkdir()
        (path / "inside").touch()
        with pytest.raises(LagoError, match="cannot write"):
            files.write_atomic(path, "x")
        assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]

    def test_a_missing_directory_is_one_sentence(self, tmp_path):
        with pytest.raises(LagoError, match=r"cannot write '.*nowhere/file': No such file"):
            files.write_atomic(tmp_path / "nowhere" / "file", "x")

    def test_readers_never_see_a_part(self, tmp_path):
        path = tmp_path / "file"
        contents = {letter * 200_000 for letter in "ab"}
        files.write_atomic(path, "a" * 200_000)
        done = threading.Event()

        def write():
            while not done.is_set():
                for content in sorted(contents):
                    files.write_atomic(path, content, durable=False)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = {path.read_text() for _ in range(200)}
        finally:
            done.set()
            writer.join()
        assert seen <= contents


class TestRemoveTree:
    def test_removes_all_and_is_idempotent(self, tmp_path):
        tree = tmp_path / "tree"
        (tree / "deep" / "er").mkdir(parents=True)
        (tree / "deep" / "file").write_text("x")
        files.remove_tree(tree)
        files.remove_tree(tree)
        assert not tree.exists()

    def test_links_inside_are_removed_not_followed(self, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("x")
        tree = tmp_path / "tree"
        tree.mkdir()
        (tree / "link").symlink_to(outside)
        files.remove_tree(tree)
        assert not tree.exists()
        assert (outside / "precious").read_text() == "x"

    def test_a_link_is_refused(self, tmp_path):
        target = tmp_path / "target"
        target.mkdir()
        link = tmp_path / "link"
        link.symlink_to(target)
        with pytest.raises(LagoError, match="symbolic link"):
            files.remove_tree(link)
        assert target.is_dir()

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(LagoError, match="not a directory"):
            files.remove_tree(tmp_path / "file")

    def test_the_home_directory_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(LagoError, match="home directory"):
            files.remove_tree(tmp_path / "sub" / "..")

    @pytest.mark.parametrize("path", ["/", "/proc"])
    def test_roots_and_mount_points_are_refused(self, path):
        with pytest.raises(LagoError, match="will not remove"):
            files.remove_tree(Path(path))

    def test_a_writer_inside_does_not_make_it_fail(self, tmp_path):
        tree = tmp_path / "tree"
        tree.mkdir()
        done = threading.Event()

        def write():
            number = 0
            while not done.is_set():
                number += 1
                try:
                    (tree / str(number % 50)).write_text("x")
                except FileNotFoundError:
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            time.sleep(0.02)
            done_later = threading.Timer(0.03, done.set)
            done_later.start()
            files.remove_tree(tree)
        finally:
            done.set()
            done_later.join()
            writer.join()
        assert not tree.exists()


class TestLock:
    def test_excludes_and_lets_go(self, tmp_path):
        path = tmp_path / ".lock"
        with files.lock(path, timeout=0, purpose="start"):
            holder = files.find_lock_holder(path)
            assert holder is not None
            assert (holder.pid, holder.purpose) == (os.getpid(), "start")
        assert files.find_lock_holder(path) is None
        with files.lock(path, timeout=0, purpose="stop"):
            pass

    def test_lets_go_when_the_block_fails(self, tmp_path):
        path = tmp_path / ".lock"
        with pytest.raises(ZeroDivisionError), files.lock(path, timeout=0, purpose="start"):
            raise ZeroDivisionError
        with files.lock(path, timeout=0, purpose="start"):
            pass

    def test_threads_of_one_process_exclude_each_other(self, tmp_path):
        path = tmp_path / ".lock"
        inside, most = 0, 0

        def work():
            nonlocal inside, most
            with files.lock(path, timeout=10, purpose="count"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.005)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_who_waits_learns_who_holds_it_and_a_killed_holder_frees_it(self, tmp_path):
        path = tmp_path / ".lock"
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_LOCK, str(path)], stdout=subprocess.PIPE
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with (
                pytest.raises(LockedError) as caught,
                files.lock(path, timeout=0.1, purpose="stop"),
            ):
                pass
            told = rf"held by process {holder.pid} \(.*python.*\) for \d+\.\d s, to start"
            assert re.search(told, caught.value.message)
            assert str(path) in caught.value.message
            assert str(holder.pid) in (caught.value.hint or "")
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()
        with files.lock(path, timeout=5, purpose="stop"):
            now_held = files.find_lock_holder(path)
            assert now_held is not None
            assert now_held.pid == os.getpid()

    @pytest.mark.parametrize("rest", ["", "{", "[]", json.dumps({"pid": "x"})])
    def test_a_broken_record_of_the_holder_is_no_record(self, tmp_path, rest):
        (tmp_path / ".lock.holder").write_text(rest)
        assert files.find_lock_holder(tmp_path / ".lock") is None

    def test_without_a_record_it_still_says_so(self, tmp_path):
        path = tmp_path / ".lock"
        with files.lock(path, timeout=0, purpose="start"):
            (tmp_path / ".lock.holder").unlink()
            message = run_in_thread(lambda: lock_error(path, timeout=0))
        assert "somebody holds the lock" in message

    def test_the_directory_may_go_while_it_is_held(self, tmp_path):
        tree = tmp_path / "prefix"
        tree.mkdir()
        with files.lock(tree / ".lock", timeout=0, purpose="destroy"):
            files.remove_tree(tree)
        assert not tree.exists()

    def test_a_missing_directory_is_one_sentence_and_stays_missing(self, tmp_path):
        with (
            pytest.raises(LagoError, match="cannot lock"),
            files.lock(tmp_path / "nowhere" / ".lock", timeout=0, purpose="start"),
        ):
            pass
        assert not (tmp_path / "nowhere").exists()

    def test_a_waiter_does_not_bring_a_removed_directory_back(self, tmp_path):
        tree = tmp_path / "prefix"
        tree.mkdir()
        with files.lock(tree / ".lock", timeout=0, purpose="destroy"):
            errors = []
            waiter = threading.Thread(target=lambda: errors.append(lock_error(tree / ".lock")))
            waiter.start()
            time.sleep(0.1)
            files.remove_tree(tree)
        waiter.join()
        assert "does not exist" in errors[0]
        assert not tree.exists()

    def test_a_directory_that_goes_while_the_lock_is_taken_stays_away(self, tmp_path, monkeypatch):
        tree = tmp_path / "prefix"
        tree.mkdir()
        acquire = filelock.FileLock.acquire

        def acquire_late(self, *args, **options):
            tree.rmdir()
            return acquire(self, *args, **options)

        monkeypatch.setattr(filelock.FileLock, "acquire", acquire_late)
        assert "does not exist" in lock_error(tree / ".lock")
        assert not tree.exists()


def lock_error(path, timeout=10):
    try:
        with files.lock(path, timeout=timeout, purpose="stop"):
            return "got it"
    except LagoError as error:
        return error.message


def run_in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]
