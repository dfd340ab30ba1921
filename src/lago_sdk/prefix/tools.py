"""Files by which other tools reach the guests of a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.select import list_names

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lago_sdk.render.ansible import InventoryFormat


class PrefixTools(PrefixBase):
    """What OpenSSH and Ansible need to know."""

    @property
    def ssh_config(self) -> Path:
        """The file by which ``ssh -F FILE VM``, scp, rsync, Ansible and editors reach the VMs.

        It is written at creation and at each start; asking for it makes it right.

        Raises:
            LagoError: It cannot be written, or cannot hold the path of the prefix.
        """
        from lago_sdk.service.provisioning.ssh_config import write_ssh_config

        write_ssh_config(self.plan, layout=self._layout, world=self._world)
        return self._layout.ssh_config

    def render_ssh_config(
        self, vms: str | Iterable[str] | None = None, *, relay: bool = False
    ) -> str:
        """Return the text of an ``ssh_config`` for VMs; all that have an address for ``None``.

        Args:
            vms: Names of VMs.
            relay: On a private host, have the proxy pass on bytes: for programs that know
                ``ProxyCommand`` and not ``ProxyUseFdpass``, such as libssh's.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            VMError: A VM that is named has no address.
        """
        from lago_sdk.service.provisioning.ssh_config import get_ssh_config

        return get_ssh_config(
            self.plan, layout=self._layout, world=self._world, names=list_names(vms), relay=relay
        )

    def ansible_inventory(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        format: InventoryFormat = "ini",  # noqa: A002
    ) -> str:
        """Return the VMs that have an address as an Ansible inventory.

        Args:
            keys: Key paths into the description of a VM, for example ``"disks/0/type"``: each
                value found makes a group ``path=value``. Lago's ``vm-type``, ``groups`` and
                ``vm-provider`` for ``None``. In Ansible's names other characters than letters,
                digits and ``_`` are ``_``; ``lago_groups`` of each VM maps what they were.
            format: ``"ini"``, ``"yaml"``, or ``"json"``: what a dynamic inventory answers to
                ``--list``.

        Raises:
            LagoError: No VM has anything at one of the key paths.
        """
        from lago_sdk.service.provisioning.inventory import Inventory

        return Inventory(self.context, keys).render(format)

    def ansible_host(self, vm: str, keys: str | Iterable[str] | None = None) -> str:
        """Return the variables of one VM as JSON: what a dynamic inventory answers to ``--host``.

        Args:
            vm: Its name.
            keys: As for `ansible_inventory`.

        Raises:
            VMNotFoundError: There is no VM of that name.
            VMError: It has no address.
        """
        from lago_sdk.service.provisioning.inventory import Inventory

        return Inventory(self.context, keys).render_host(vm)

    def ansible_inventory_file(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        format: Literal["ini", "yaml"] = "ini",  # noqa: A002
    ) -> AbstractContextManager[Path]:
        """Have `ansible_inventory` in a file for the block: ``ansible-playbook -i FILE``.

        Args:
            keys: As for `ansible_inventory`.
            format: ``"ini"`` or ``"yaml"``.

        Raises:
            LagoError: No VM has anything at one of the key paths.
        """
        from lago_sdk.service.provisioning.inventory import Inventory

        return Inventory(self.context, keys).write(format)
