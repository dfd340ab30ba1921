"""Files by their content, and the machine by what its QEMU says of itself."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lago_sdk.adapters.files import write_atomic
from lago_sdk.adapters.process import run
from lago_sdk.errors import HostError, LagoError
from lago_sdk.plan.facts import Accel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.facts import HostFacts

_SETTLED_SECONDS = 2.0
"""A file that was changed less long ago may change again without a new time: it is not
remembered."""
_QUERIES = ("query-version", "query-cpu-model-expansion")
_CPU_MODELS = {Accel.KVM: "host", Accel.TCG: "max"}
"""What QEMU calls all that it can give a guest."""


class LocalFingerprints:
    """A `lago_sdk.ports.Fingerprints` of this machine.

    Digests of files are remembered for as long as the file is untouched: device, inode, size
    and both times (to the nanosecond) are the same. The time of the last change of the inode
    cannot be set by programs.

    Args:
        cache_dir: The user's cache; ``digests`` in it is ours.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._directory = cache_dir / "digests"

    def digest_file(self, path: Path) -> str:
        """See `Fingerprints.digest_file`.

        Raises:
            LagoError: It cannot be read.
        """
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        memory = self._directory / f"{name}.json"
        try:
            with path.open("rb") as file:
                before = _describe(os.fstat(file.fileno()))
                with suppress(OSError, ValueError, KeyError, TypeError):
                    known = json.loads(memory.read_text())
                    if known["file"] == before:
                        return str(known["digest"])
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                after = _describe(os.fstat(file.fileno()))
        except OSError as error:
            message = f"cannot read {str(path)!r}: {error.strerror}"
            raise LagoError(message) from error
        newest = max(after["mtime_ns"], after["ctime_ns"]) / 1e9
        if before == after and newest < time.time() - _SETTLED_SECONDS:
            with suppress(OSError, LagoError):
                self._directory.mkdir(parents=True, exist_ok=True)
                text = json.dumps({"file": after, "digest": digest})
                write_atomic(memory, text, mode=0o600, durable=False)
        return digest

    def describe_host(self, facts: HostFacts) -> Mapping[str, object]:
        """See `Fingerprints.describe_host`.

        Raises:
            HostError: QEMU does not tell.
        """
        qemu, cpu = _ask_qemu(facts)
        return {
            "lago_sdk": {"version": version("lago_sdk"), "sources": _digest_library()},
            "emulator": self.digest_file(Path(facts.emulator)),
            "qemu": qemu,
            "cpu": cpu,
            # Under KVM the kernel has a say in what a guest sees.
            "kernel": os.uname().release if facts.accel is Accel.KVM else None,
        }


@lru_cache(maxsize=1)
def _digest_library() -> str:
    """Return the digest of what we are, fakes left out; once a process.

    A version says less: whoever works on the library changes what labs are made of without it.
    """
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith("testing/"):
            found.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _describe(stat: os.stat_result) -> dict[str, int]:
    return {
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
    }


def _ask_qemu(facts: HostFacts) -> tuple[object, object]:
    """Return QEMU's version, and the CPU that it would give a guest; some 30 ms.

    Source: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
    """
    model = {"type": "full", "model": {"name": _CPU_MODELS[facts.accel]}}
    commands: list[dict[str, object]] = [
        {"execute": "qmp_capabilities"},
        {"execute": _QUERIES[0], "id": _QUERIES[0]},
        {"execute": _QUERIES[1], "id": _QUERIES[1], "arguments": model},
        {"execute": "quit"},
    ]
    argv = [facts.emulator, "-S", "-no-user-config", "-nodefaults", "-display", "none"]
    argv += ["-machine", f"none,accel={facts.accel.value}", "-qmp", "stdio"]
    text = "\n".join(json.dumps(command) for command in commands)
    answer = run(argv, input=text.encode(), timeout=30.0, check=False)
    found: dict[str, Any] = {}
    for line in answer.out.splitlines():
        with suppress(ValueError):
            reply = json.loads(line)
            if "return" in reply and "id" in reply:
                found[reply["id"]] = reply["return"]
    if found.keys() != set(_QUERIES):
        raise HostError(
            f"{facts.emulator} does not tell its version and CPU",
            hint=f"it ended with code {answer.code}: {answer.err.strip() or answer.out.strip()}",
        )
    return found[_QUERIES[0]], found[_QUERIES[1]]
