"""Prefixes as files that can be carried elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.select import list_names

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from lago_sdk.ports import Compression
    from lago_sdk.service.exporting.model import ExportReport


class PrefixExports(PrefixBase):
    """Verbs that write exports."""

    def export(
        self,
        directory: str | os.PathLike[str],
        *,
        vms: str | Iterable[str] | None = None,
        standalone: bool = False,
        compress: Compression | Literal["xz", "zstd"] | None = None,
        ova: bool = False,
        scripts: bool = False,
    ) -> ExportReport:
        """Write VMs into a new directory, from which the same lab can be made elsewhere.

        The directory holds an image of each disk, with its digest and facts beside it, an init
        file with the addresses of now, and ``export.json``, which lists all of it. It appears
        whole or not at all. `Prefix.load_export` makes the lab of it again.

        Disks on templates are exported as the layer above: the template must be had where they
        are taken in, and is checked by its digest there.

        Args:
            directory: It does not exist, or is empty.
            vms: Names of VMs, all of which are off; all that have no ``skip-export`` for
                ``None``. Disks with ``skip-export`` are left out.
            standalone: Write images that need no template.
            compress: ``"xz"`` (smaller) or ``"zstd"`` (faster); not at all when ``None``.
            ova: Write an appliance for each VM, which other products import too, in place of
                its images; standalone and compressed as it is.
            scripts: Have the deploy scripts in it as well.

        Raises:
            ExportError: A VM is not off, there is nothing to export, or *directory* is taken.
            VMNotFoundError: There is no VM of one of the names.
            ImageError: A disk cannot be read, or the file system is full.
            ExceptionGroup: Several disks failed. Nothing is left of an export that failed.
        """
        from importlib.metadata import version

        from lago_sdk.errors import ExportError
        from lago_sdk.ports import Compression
        from lago_sdk.service.exporting.model import ExportChoice
        from lago_sdk.service.exporting.write import export_prefix

        if ova and compress is not None:
            raise ExportError(
                "appliances are compressed as they are", hint="leave out either ova or compress"
            )
        choice = ExportChoice(
            standalone=standalone or ova,
            compression=None if compress is None else Compression(compress),
            ova=ova,
            scripts=scripts,
        )
        with self.changing("export", snapshots=True):
            self._forget_plan()  # another process may have changed it
            return export_prefix(
                self.context,
                Path(os.path.abspath(directory)),  # noqa: PTH100 - a link at its end is seen
                names=list_names(vms),
                asked=self.spec,
                choice=choice,
                version=version("lago_sdk"),
            )
