"""Deploy scripts: kept in the prefix from its creation on, whatever becomes of the originals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.errors import VMError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World


def name_copies(plan: Plan) -> Mapping[str, str]:
    """Return the file name in the prefix of each deploy script, by its absolute path.

    As in Lago it is the path with ``_`` for ``/``; where two paths would give one name, or the
    name would be too long, a hash is added.
    """
    names: dict[str, str] = {}
    for vm in plan.vms:
        for script in vm.spec.deploy_scripts:
            if script not in names:
                stem = script.replace("/", "_")
                names[script] = allocate_file_stem(stem, taken=frozenset(names.values()))
    return names


def list_copies(vm: VMPlan, *, plan: Plan, layout: PrefixLayout) -> tuple[Path, ...]:
    """Return the copies of the deploy scripts of *vm*, in the order they run in."""
    names = name_copies(plan)
    return tuple(layout.scripts / names[script] for script in vm.spec.deploy_scripts)


def copy_scripts(plan: Plan, *, layout: PrefixLayout, world: World) -> None:
    """Copy the deploy scripts of all VMs into the prefix; a copy that is there is kept.

    Raises:
        VMError: A script cannot be read.
    """
    names = name_copies(plan)
    for vm in plan.vms:
        for script in vm.spec.deploy_scripts:
            layout.scripts.mkdir(exist_ok=True)
            target = layout.scripts / names[script]
            if target.exists():
                continue
            try:
                data = Path(script).read_bytes()
            except OSError as error:
                message = f"cannot read the deploy script {script!r} of {vm.name!r}"
                raise VMError(vm.name, f"{message}: {error.strerror or error}") from error
            world.files.write_atomic(target, data, mode=0o755)
