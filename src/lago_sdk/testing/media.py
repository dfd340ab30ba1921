"""Seeds, builders, archives and downloads that only remember."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ImageError, LagoError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lago_sdk.ports import Tell
    from lago_sdk.spec.disk import DiskFormat


class FakeSeeds:
    """A `lago_sdk.ports.SeedTool` that keeps what it was given.

    Attributes:
        contents: Files of each seed, by name, by the path of the seed.
    """

    def __init__(self) -> None:
        self.contents: dict[Path, dict[str, bytes]] = {}
        self._mutex = threading.Lock()

    def create_seed(self, path: Path, files: Mapping[str, bytes]) -> None:
        """See `SeedTool.create_seed`."""
        with self._mutex:
            self.contents[path] = dict(files)
        path.write_text("".join(f"{name}\n" for name in sorted(files)))


@attrs.frozen(kw_only=True)
class Build:
    """One run of a :class:`FakeBuilder`."""

    disk: Path
    arguments: tuple[str, ...]
    directory: Path


class FakeBuilder:
    """A `lago_sdk.ports.ImageBuilder` that changes nothing.

    Args:
        error: Raised by `build`, as long as it is set.

    Attributes:
        builds: What `build` was asked, in order.
    """

    def __init__(self, *, error: Exception | None = None) -> None:
        self.error = error
        self.builds: list[Build] = []

    def build(
        self,
        disk: Path,
        image_format: DiskFormat,  # noqa: ARG002 - the same to a fake
        arguments: Sequence[str],
        *,
        directory: Path,
    ) -> None:
        """See `ImageBuilder.build`."""
        self.builds.append(Build(disk=disk, arguments=tuple(arguments), directory=directory))
        if self.error is not None:
            raise self.error


class FakeArchives:
    """A `lago_sdk.ports.Archives` of archives that were made by `add` or `create_archive`."""

    def __init__(self) -> None:
        self._archives: dict[Path, dict[str, bytes]] = {}

    def add(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Let there be an archive of *files* at *path*, where an empty file is put."""
        self._archives[path.absolute()] = dict(files)
        path.touch()

    def list_files(self, path: Path) -> Mapping[str, int]:
        """See `Archives.list_files`."""
        return {name: len(data) for name, data in self._get(path).items()}

    def read_file(self, path: Path, name: str) -> bytes:
        """See `Archives.read_file`.

        Raises:
            ImageError: There is no such archive or file in it.
        """
        files = self._get(path)
        if name not in files:
            raise ImageError(f"the archive {path} has no file {name!r}")
        return files[name]

    def extract_file(self, path: Path, name: str, target: Path) -> None:
        """See `Archives.extract_file`."""
        target.write_bytes(self.read_file(path, name))

    def create_archive(self, path: Path, files: Mapping[str, Path], *, progress: Tell) -> None:
        """See `Archives.create_archive`."""
        content = {name: source.read_bytes().hex() for name, source in files.items()}
        path.write_text(json.dumps(content))
        progress(1, 1)

    def _get(self, path: Path) -> dict[str, bytes]:
        added = self._archives.get(path.absolute())
        if added is not None:
            return added
        try:  # one that `create_archive` made
            found = json.loads(path.read_text())
            return {name: bytes.fromhex(data) for name, data in found.items()}
        except (OSError, ValueError):
            raise ImageError(f"{path} is no archive") from None


class FakeDownload:
    """A `lago_sdk.ports.Download` from servers that have what `offer` put there.

    Attributes:
        urls: What was asked for, in order.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._offers: dict[str, bytes] = {}

    def offer(self, url: str, data: bytes) -> None:
        """Let *url* have *data*."""
        self._offers[url] = data

    def __call__(
        self, url: str, path: Path, *, progress: Callable[[int, int | None], None]
    ) -> None:
        """See `Download`.

        Raises:
            LagoError: Nobody offers *url*.
        """
        self.urls.append(url)
        data = self._offers.get(url)
        if data is None:
            hint = suggest(url, self._offers)
            raise LagoError(f"cannot download {url}: nothing is there", hint=hint)
        path.write_bytes(data)
        progress(len(data), len(data))
