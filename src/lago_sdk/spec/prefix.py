"""What was asked of a whole prefix."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.spec.lookup import get_net, get_vm
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.vm import VMSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Self


@attrs.frozen(kw_only=True)
class PrefixSpec:
    """A small virtual data centre: VMs and the nets between them."""

    vms: tuple[VMSpec, ...] = ()
    """In file order; names are unique."""
    nets: tuple[NetSpec, ...] = ()
    """In file order; names are unique."""
    init_dir: str | None = attrs.field(default=None, eq=False)
    """Directory of the init file, which ``$LAGO_INITFILE_PATH`` means; absolute."""

    def get_vm(self, name: str) -> VMSpec:
        """Return the VM *name*.

        Raises:
            VMNotFoundError: There is none; the hint names those there are.
        """
        return get_vm(self.vms, name)

    def get_net(self, name: str) -> NetSpec:
        """Return the net *name*.

        Raises:
            NetNotFoundError: There is none; the hint names those there are.
        """
        return get_net(self.nets, name)

    @classmethod
    def of(cls, source: Self | Mapping[str, object] | str | os.PathLike[str]) -> Self:
        """Return the spec that *source* is or describes.

        Args:
            source: A spec, a mapping of the shape of an init file, or the path of one.

        Raises:
            SpecError: With every problem at once.
        """
        from lago_sdk.codec import load_spec, structure_spec

        if isinstance(source, str | PathLike):
            return load_spec(source, cls)
        return structure_spec(source, cls)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an init file (YAML or JSON).

        Raises:
            SpecError: With every problem at once, each with line, column and path.
        """
        from lago_sdk.codec import load_spec

        return load_spec(path, cls)

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read the text of an init file.

        Raises:
            SpecError: With every problem at once, each with line, column and path.
        """
        from lago_sdk.codec import loads_spec

        return loads_spec(text, cls)

    def dumps(self) -> str:
        """Write the spec as the YAML text of an init file; ``loads`` gives it back."""
        from lago_sdk.codec import dumps_spec

        return dumps_spec(self)

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """Return the JSON Schema of an init file, made from the models; editors complete by it."""
        from lago_sdk.codec import json_schema

        return json_schema()
