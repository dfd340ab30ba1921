"""Verbs by which other tools reach the VMs: what OpenSSH and Ansible read."""

from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from typing import Literal

app = new_family()


@verb(
    app,
    "lagoctl ssh-config web",
    'ssh -F "$(lagoctl ssh-config --path)" web',
    'rsync -e "ssh -F $(lagoctl ssh-config --path)" -a site/ web:/srv/',
    "lagoctl ssh-config --relay > relay_config",
)
def ssh_config(
    session: Session,
    vms: Annotated[
        list[str] | None, typer.Argument(metavar="VM...", help="The VMs; all when absent.")
    ] = None,
    *,
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of the prefix's file instead.")
    ] = False,
    relay: Annotated[
        bool,
        typer.Option(
            "--relay", help="For programs that know ProxyCommand and not ProxyUseFdpass: libssh's."
        ),
    ] = False,
) -> None:
    """Print how ssh, scp, rsync and editors log in to the VMs.

    The same text is in the file ssh_config of the prefix.
    """
    prefix = session.open_prefix()
    if path:
        typer.echo(prefix.ssh_config)
    else:
        typer.echo(prefix.render_ssh_config(vms or None, relay=relay), nl=False)


@verb(
    app,
    "lagoctl ansible-hosts > hosts && ansible-playbook -i hosts site.yml",
    "lagoctl ansible-hosts -f yaml > hosts.yaml",
    "lagoctl ansible-hosts -k disks/0/metadata/distro -k groups",
    "lagoctl ansible-hosts --list",
    "lagoctl ansible-hosts --host web",
)
def ansible_hosts(
    session: Session,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Further key paths.")
    ] = None,
    *,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--keys",
            "-k",
            metavar="KEY",
            help="Key path into a VM's description whose values make groups; "
            "vm-type, groups and vm-provider when absent.",
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Print JSON, as Ansible wants it of a script.")
    ] = False,
) -> None:
    """Print the VMs as an Ansible inventory.

    It is INI, or with -f YAML or JSON. A script that runs it with its own arguments is a dynamic
    inventory: --host followed by the name of a VM prints the variables of that one.
    """
    wanted = [*(keys or []), *(more or [])] or None
    vm = session.take_host()
    prefix = session.open_prefix()
    if vm is not None:
        typer.echo(prefix.ansible_host(vm, wanted), nl=False)
        return
    chosen = session.format
    form: Literal["ini", "yaml", "json"] = "ini"
    if listed or chosen == "json":
        form = "json"
    elif chosen == "yaml":
        form = "yaml"
    typer.echo(prefix.ansible_inventory(wanted, format=form), nl=False)
