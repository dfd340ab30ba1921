"""Files to and from a guest."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.vm.base import VMBase

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from lago_sdk.ports import Extraction, Skipped
    from lago_sdk.service.guests.copies import HostPath


class VMFiles(VMBase):
    """Verbs that copy."""

    def copy_to(
        self,
        source: HostPath | Sequence[HostPath],
        target: str,
        *,
        follow: bool = False,
    ) -> tuple[Skipped, ...]:
        """Copy a file or directory of this machine to the guest; several, into a directory.

        What goes where is decided as by ``cp -aH`` and ``scp -r``: into *target* where that is a
        directory, else *target* is what the copy is called. Modes, modification times, symbolic
        links, hard links and empty directories are kept, owners are not: all belongs to the
        ssh user. New files and directories appear when they have come whole; a directory that
        is there already is added to.

        Args:
            source: What to copy. A link that is named is followed, links below it stay links.
            target: A path in the guest; one that is not absolute is below the login directory.
            follow: Copy what links lead to in their place.

        Returns:
            What was left out: devices, pipes and sockets.

        Raises:
            LagoError: A source is not there or cannot be read.
            VMNotRunningError: The VM is not running.
            VMError: The target is not what it should be, or the guest has no space.
            SSHError: The connection was lost.
        """
        from lago_sdk.service.guests.copies import copy_to

        sources = [source] if isinstance(source, (str, PathLike)) else list(source)
        return copy_to(self._plan, self._prefix.context, sources, target, follow=follow)

    def copy_from(
        self,
        source: str | Sequence[str],
        target: HostPath,
        *,
        follow: bool = False,
    ) -> tuple[Skipped, ...]:
        """Copy a file or directory of the guest to this machine; several, into a directory.

        What goes where is decided as in `copy_to`. Nothing is written outside of *target*,
        whatever the guest sends, and nothing is there before all of it has come.

        Args:
            source: What to copy. A link that is named is followed, links below it stay links.
            target: Where to.
            follow: Copy what links lead to in their place.

        Returns:
            What was left out: devices, pipes, sockets, and links that lead out of their source.

        Raises:
            PathNotFoundError: The guest does not have one of the sources; nothing was copied.
            LagoError: The target is not what it should be, or cannot be written.
            VMNotRunningError: The VM is not running.
            SSHError: The connection was lost; the target is as it was.
        """
        from lago_sdk.service.guests.copies import copy_from

        sources = [source] if isinstance(source, str) else list(source)
        return copy_from(self._plan, self._prefix.context, sources, target, follow=follow)

    def extract_paths(
        self,
        paths: Iterable[tuple[str, str | os.PathLike[str]]],
        *,
        ignore_missing: bool = True,
        timeout: float | None = 600.0,
    ) -> Extraction:
        """Copy files and whole directories out of the guest, over ssh or from its disk when off.

        Nothing that the guest sends gets beside the names given: hostile names and links that
        lead elsewhere are left out, and told.

        Args:
            paths: Pairs of a path in the guest and what it shall be called here.
            ignore_missing: Only tell of paths that the guest lacks.
            timeout: Seconds that a running guest may take; ``None`` waits for ever.

        Raises:
            PathNotFoundError: Paths are missing, and not ignored; the others were copied.
            VMError: The guest does not answer, or the VM is paused.
            LagoError: The disk cannot be read, or the copies cannot be written.
        """
        from lago_sdk.service.seeing.collect import extract_paths

        pairs = [(path, Path(place)) for path, place in paths]
        return extract_paths(
            self._plan, pairs, self._prefix.context, ignore_missing=ignore_missing, timeout=timeout
        )
