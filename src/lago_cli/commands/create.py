"""Verbs that make a prefix."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.commands.deploy import tell_skipped
from lago_cli.commands.lifecycle import tell_checkpoint
from lago_cli.options import TemplateRepoName, TemplateRepoPath, template_arguments
from lago_cli.session import Session
from lago_cli.tables import status_data, status_tables
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import Prefix

app = new_family()

INIT_FILE = Path("LagoInitFile")
"""The init file where none is named."""

_Cache = Annotated[
    bool,
    typer.Option(
        "--cache",
        help="Let it come up provisioned, deploy scripts included, and from a checkpoint of the "
        "cache where there is one.",
    ),
]
_TemplateStore = Annotated[
    Path | None,
    typer.Option("--template-store", metavar="DIR", help="Where templates are kept."),
]


@verb(
    app,
    "lagoctl init",
    "lagoctl init lab/LagoInitFile",
    "lagoctl init /var/tmp/lab lab/LagoInitFile --prefix-name nightly --set-current",
)
def init(
    session: Session,
    workdir: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKDIR",
            help="Directory of prefixes; .lago when absent. A single argument is the INITFILE.",
        ),
    ] = None,
    initfile: Annotated[
        Path | None, typer.Argument(metavar="INITFILE", help="./LagoInitFile when absent.")
    ] = None,
    *,
    set_current: Annotated[
        bool, typer.Option("--set-current", help="Make it the current prefix.")
    ] = False,
    cache: _Cache = False,
    template_store: _TemplateStore = None,
    template_repo_path: TemplateRepoPath = None,
    template_repo_name: TemplateRepoName = None,
) -> None:
    """Make a prefix from an init file; nothing runs yet.

    Its addresses are chosen, and its disks, keys and seeds are made.
    """
    if initfile is None and workdir is not None:
        initfile, workdir = Path(workdir), None
    session.set_arguments(
        template_store=template_store,
        **template_arguments(template_repo_path, template_repo_name),
    )
    chosen = _choose_workdir(session, workdir)
    prefix = _create(session, initfile or INIT_FILE, chosen, cache=cache)
    if set_current:
        from lago_sdk import Workdir

        Workdir.open(prefix.path.parent).set_current(prefix.name)
    session.say(f"made the prefix {prefix.name!r} in {prefix.path.parent}; start it: lagoctl start")


@verb(
    app,
    "lagoctl up",
    "lagoctl up examples/two-vms/LagoInitFile",
    "lagoctl up --cache",
    "lagoctl up --host system --prefix-name second",
)
def up(
    session: Session,
    initfile: Annotated[
        Path | None, typer.Argument(metavar="INITFILE", help="./LagoInitFile when absent.")
    ] = None,
    *,
    deploy: Annotated[
        bool, typer.Option("--deploy", help="Then run the deploy scripts of VMs just started.")
    ] = False,
    cache: _Cache = False,
    template_store: _TemplateStore = None,
    template_repo_path: TemplateRepoPath = None,
    template_repo_name: TemplateRepoName = None,
) -> None:
    """Bring up the lab of an init file: init, start and wait.

    Returns when every VM answers ssh. Run again it changes nothing and says so.
    """
    session.set_arguments(
        template_store=template_store,
        **template_arguments(template_repo_path, template_repo_name),
    )
    prefix = _open_or_create(session, initfile, cache=cache)
    if cache and not prefix.record.cache:
        _tell_uncached(session, prefix)
    report = prefix.start()
    if report.started:
        names = ", ".join(report.started)
        session.say(f"up after {report.seconds:.1f} s: {names}")
        tell_checkpoint(session, report)
    else:
        count = len(report.already_running)
        is_one = count == 1
        session.say(f"nothing to do: {count} {'VM is' if is_one else 'VMs are'} running")
    if deploy and report.started:
        tell_skipped(session, prefix.deploy(report.started))
    status = prefix.status()
    session.write(status_data(status), status_tables(status), lago_wrote_it=True)


def _open_or_create(session: Session, initfile: Path | None, *, cache: bool) -> "Prefix":
    from lago_sdk import PrefixNotFoundError

    if initfile is None and not INIT_FILE.exists():
        try:
            return session.open_prefix()
        except PrefixNotFoundError as error:
            hint = "name an init file: lagoctl up INITFILE"
            message = f"there is no {INIT_FILE} here, and {error.message}"
            raise PrefixNotFoundError(message, hint=hint) from None
    source = initfile or INIT_FILE
    workdir = _choose_workdir(session, None)
    try:
        prefix = session.open_prefix(workdir)
    except PrefixNotFoundError:
        return _create(session, source, workdir, cache=cache)
    if not prefix.is_complete:
        return _create(session, source, workdir, cache=cache)
    _compare(session, prefix, source)
    return prefix


def _compare(session: Session, prefix: "Prefix", source: Path) -> None:
    """Warn where the prefix was made from something else than *source* says now."""
    from lago_sdk import Note, PrefixSpec

    if PrefixSpec.load(source) != prefix.spec:
        message = (
            f"{source} is not what the prefix {prefix.name!r} was made from, which stays as it "
            "is; to apply the file: lagoctl destroy, then lagoctl up"
        )
        session.observer(Note(message=message, warning=True))


def _tell_uncached(session: Session, prefix: "Prefix") -> None:
    from lago_sdk import Note

    message = (
        f"the prefix {prefix.name!r} was made without --cache, and boots; to use the cache: "
        "lagoctl destroy, then lagoctl up --cache"
    )
    session.observer(Note(message=message, warning=True))


def _create(session: Session, source: Path, workdir: Path, *, cache: bool) -> "Prefix":
    from lago_sdk import Prefix

    name = session.config.prefix_name
    return Prefix.create(
        source,
        workdir=workdir,
        name="default" if name == "current" else name,
        config=session.config,
        observer=session.observer,
        cache=cache,
    )


def _choose_workdir(session: Session, named: str | None) -> Path:
    """The workdir of the argument or of the options, which must not contradict each other."""
    option = session.options.workdir_path
    if named is None:
        return session.config.workdir.absolute()
    if option is not None and option.absolute() != Path(named).absolute():
        from lago_sdk import LagoError

        message = f"two workdirs are named: {named} and --workdir-path {option}"
        raise LagoError(message, hint="name one")
    return Path(named).absolute()
