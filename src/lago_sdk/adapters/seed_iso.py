"""Seed media: small ISO 9660 images, as cloud-init's NoCloud data source reads them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from lago_sdk.adapters.files import write_atomic
from lago_sdk.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LABEL = "cidata"
"""Lower case, which every version of cloud-init looks for."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
"""What both Joliet and Rock Ridge can spell, at Joliet's length."""

_MIN_SIZE = 128 * 1024
"""Busybox wants 68 KiB of a medium before it recognises anything on it."""


class SeedIso:
    """Makes seed media; implements the port ``SeedTool``."""

    def create_seed(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Write an ISO 9660 image labelled ``cidata`` with *files* in its root.

        The image appears whole or not at all, and only its owner may read it, as it holds
        the guest's host key.

        Args:
            path: The image; replaced where it exists.
            files: Content by name, for example ``user-data``.

        Raises:
            ImageError: A name does not fit the format.
            LagoError: *path* cannot be written.
        """
        write_atomic(path, render_iso(files, label=LABEL), mode=0o600)


def render_iso(files: Mapping[str, bytes], *, label: str) -> bytes:
    """Return an ISO 9660 image whose Joliet and Rock Ridge names are those of *files*.

    Args:
        files: Content by name; all are in the root directory.
        label: Volume label, at most 16 characters.

    Raises:
        ImageError: A name is empty, too long or has characters that the format forbids.
    """
    from pycdlib import PyCdlib
    from pycdlib.pycdlibexception import PyCdlibException

    iso = PyCdlib()
    iso.new(joliet=3, rock_ridge="1.09", vol_ident=label)
    try:
        for number, (name, content) in enumerate(sorted(files.items())):
            _check_name(name)
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                iso_path=f"/F{number}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
            )
        image = io.BytesIO()
        iso.write_fp(image)
    except PyCdlibException as error:
        raise ImageError(f"a seed cannot be made of these files: {error}") from error
    finally:
        iso.close()
    return image.getvalue().ljust(_MIN_SIZE, b"\0")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ImageError(f"a file of a seed cannot be called {name!r}")
