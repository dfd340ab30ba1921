"""Every error that leaves lago_sdk, as one tree.

::

    LagoError                      anything this library has to say went wrong
    ├── SpecError                  what was asked is wrong: carries every Problem at once
    ├── ConfigError                a setting (file, environment, argument) is wrong
    ├── WorkdirError               the directory of prefixes is not what it should be
    │   ├── PrefixNotFoundError    no such prefix; names those there are
    │   └── PrefixExistsError      the name is taken
    ├── LockedError                somebody else holds the resource; says who
    ├── SubnetLeaseError           no subnet can be reserved on a shared host
    ├── HostError                  this machine cannot run the prefix, or its libvirtd failed
    │   └── MissingToolError       a program is not installed; says the package
    ├── HypervisorError            libvirt refused an operation
    ├── ToolError                  an external program failed; carries its output
    ├── ImageError                 a disk image is missing, damaged or cannot be made
    │   └── ApplianceNeededError   its file system takes libguestfs, which was not allowed
    ├── TemplateError              a disk image cannot be had
    │   ├── TemplateNotFoundError  no such template; names those there are
    │   └── TemplateInUseError     it is not removed: prefixes use it; names them
    ├── VMError                    something is wrong with one VM
    │   ├── AgentError             its guest agent is not there, hangs or refuses
    │   ├── ConsoleError           its serial console is busy, or nobody there obeys
    │   ├── VMNotFoundError        no such VM; names those there are
    │   ├── PathNotFoundError      its guest lacks files that were asked for; names them
    │   ├── VMNotRunningError      the operation needs a running VM
    │   ├── DeployError            a deploy script failed; carries its exit code and output
    │   └── ServiceError           a service in the guest is missing, or failed
    ├── SnapshotError              no snapshot can be made, or not be reverted to; says why not
    │   ├── SnapshotNotFoundError  no snapshot of that name; names those there are
    │   └── SnapshotExistsError    the name is taken
    ├── NetNotFoundError           no such net; names those there are
    ├── NetInUseError              a net is not stopped: VMs that run use it; names them
    ├── ExportError                nothing was exported, or an export cannot be taken in
    ├── CaptureError               packets cannot be captured; says why not
    ├── CommandError               a command in a guest exited non-zero (CommandResult.check)
    ├── SSHError                   ssh to a guest failed for good
    │   └── HostKeyChangedError    the guest's key is not the pinned one
    └── WaitTimeoutError           a deadline passed; says which stage was reached and why
        └── CommandTimeoutError    a command in a guest did not end; carries its output so far

An error is one sentence (``message``) and, where there is something to try, a ``hint``.
When several VMs fail at once the errors arrive in an ``ExceptionGroup`` of these.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lago_sdk.spec.problems import Problem

_OUTPUT_LIMIT = 2000
"""Characters of a program's output that an error's text repeats."""
_DEPLOY_LIMIT = 1000


class LagoError(Exception):
    """Base of all errors of this library.

    Attributes:
        message: One sentence that says what is wrong and where.
        hint: What to try, or ``None``.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, followed by the hint where there is one."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SpecError(LagoError):
    """The description of the prefix is wrong.

    Attributes:
        problems: Everything found, errors first come in file order; never empty.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.is_error]
        count = len(errors)
        first = str(errors[0]) if errors else "no details"
        super().__init__(first if count == 1 else f"{first} (and {count - 1} more)")

    def __str__(self) -> str:
        """All problems, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


class ConfigError(LagoError):
    """A setting is unknown or has a value that makes no sense."""


class WorkdirError(LagoError):
    """A directory is not a usable workdir."""


class PrefixNotFoundError(WorkdirError):
    """The workdir has no prefix of that name, or there is no workdir."""


class PrefixExistsError(WorkdirError):
    """A prefix of that name is there already."""


class LockedError(LagoError):
    """Another process holds the lock of a resource for longer than we were ready to wait.

    Attributes:
        holder: Who it is, for how long and what for, in a few words; ``None`` where nobody knows.
    """

    def __init__(self, message: str, *, hint: str | None = None, holder: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


class SubnetLeaseError(LagoError):
    """A subnet of the system host cannot be reserved."""


class HostError(LagoError):
    """The machine cannot run the prefix: no namespaces, no libvirtd, no permission."""


class MissingToolError(HostError):
    """A program that is needed is not installed.

    Attributes:
        tool: The program's name.
    """

    def __init__(self, tool: str, *, package: str | None = None) -> None:
        self.tool = tool
        hint = f"install it: apt-get install {package}" if package else None
        super().__init__(f"the program {tool!r} is not installed", hint=hint)


class HypervisorError(LagoError):
    """libvirt refused an operation.

    Attributes:
        code: libvirt's ``virErrorNumber``, or ``None`` when libvirt gave none.
    """

    def __init__(self, message: str, *, hint: str | None = None, code: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ToolError(LagoError):
    """An external program failed.

    Attributes:
        argv: The command that was run.
        code: Its exit code; negative for a signal.
        output: What it wrote, standard error after standard output.
    """

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.output = output
        super().__init__(f"{argv[0]} failed with exit code {code}: {shorten(output)}")


class ImageError(LagoError):
    """A disk image is missing, damaged, of an unknown format, or cannot be made."""


class ApplianceNeededError(ImageError):
    """What is on a disk takes an appliance to be opened, and none may be booted."""


class TemplateError(LagoError):
    """A template cannot be found, built, verified or read."""


class TemplateNotFoundError(TemplateError):
    """No template of that name in the store or in any repository."""


class TemplateInUseError(TemplateError):
    """A template cannot be removed: prefixes, or templates made on it, need it."""


class VMError(LagoError):
    """Something is wrong with one VM.

    Attributes:
        vm: The VM's name.
    """

    def __init__(self, vm: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.vm = vm


class AgentError(VMError):
    """The QEMU guest agent of a VM is not there, does not answer, or refuses."""


class ConsoleError(VMError):
    """The serial console of a VM is in use, or whoever is there does not obey."""


class VMNotFoundError(VMError):
    """The prefix has no VM of that name."""


class PathNotFoundError(VMError):
    """A guest does not have files or directories that were asked for.

    Attributes:
        vm: The VM's name.
        paths: What it does not have.
    """

    def __init__(self, vm: str, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        named = ", ".join(repr(path) for path in self.paths)
        super().__init__(vm, f"{vm!r} does not have {named}")


class VMNotRunningError(VMError):
    """The operation needs a running VM, and this one is not."""


class DeployError(VMError):
    """A deploy script failed; the later ones of its VM were not run.

    Attributes:
        vm: The VM's name.
        script: Path of the script, as the init file has it.
        code: Its exit code.
        output: What it wrote, standard output and standard error as they came.
        log: File that keeps all of it.
    """

    def __init__(self, vm: str, script: str, *, code: int, output: str, log: Path) -> None:
        self.script = script
        self.code = code
        self.output = output
        self.log = log
        message = f"the deploy script {script!r} failed on {vm!r} with exit code {code}"
        told = shorten(output, _DEPLOY_LIMIT)
        hint = f"all of its output is in {str(log)!r}; it ends:\n{told}" if told else None
        super().__init__(vm, message, hint=hint or f"it wrote nothing; log: {str(log)!r}")


class ServiceError(VMError):
    """A service in a guest is missing, cannot be managed, or failed."""


class SnapshotError(LagoError):
    """A snapshot cannot be made, or the prefix cannot go back to it."""


class SnapshotNotFoundError(SnapshotError):
    """There is no snapshot of that name, or it does not have that VM."""


class SnapshotExistsError(SnapshotError):
    """There is a snapshot of that name already."""


class NetNotFoundError(LagoError):
    """The prefix has no net of that name."""


class NetInUseError(LagoError):
    """A net cannot be stopped: VMs that run are plugged into it.

    Attributes:
        net: The net's name.
        vms: The VMs.
    """

    def __init__(self, net: str, vms: Sequence[str]) -> None:
        self.net = net
        self.vms = tuple(vms)
        message = f"the net {net!r} is not stopped: {', '.join(vms)} would lose it"
        super().__init__(message, hint=f"stop them first: lagoctl stop {' '.join(vms)}")


class ExportError(LagoError):
    """A prefix cannot be exported, or an export is damaged, unsafe or of another kind."""


class CaptureError(LagoError):
    """Packets cannot be captured: no such device, no permission, a filter that makes no sense."""


class CommandError(LagoError):
    """A command in a guest exited non-zero.

    Attributes:
        command: The command as it was given to the guest's shell.
        code: Its exit code.
        out: Its standard output.
        err: Its standard error.
    """

    def __init__(self, command: str, code: int, out: str, err: str) -> None:
        self.command = command
        self.code = code
        self.out = out
        self.err = err
        super().__init__(f"{command!r} exited with {code}: {shorten(err or out) or 'no output'}")


class SSHError(LagoError):
    """A connection to a guest failed for good: refused key, broken protocol, lost transport."""


class HostKeyChangedError(SSHError):
    """The guest shows another host key than the pinned one."""


class WaitTimeoutError(LagoError):
    """A deadline passed before what was waited for happened.

    Attributes:
        stage: The last stage that was reached, for example ``"port 22 open, no banner"``.
        console: The last lines of the VM's console, oldest first.
    """

    def __init__(
        self, message: str, *, stage: str, console: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.stage = stage
        self.console = tuple(console)

    def __str__(self) -> str:
        """The message, the stage, the hint and the console's last lines."""
        text = f"{self.message}; reached: {self.stage}"
        if self.hint:
            text += f" ({self.hint})"
        if self.console:
            text += "\nlast lines of the console:\n" + "\n".join(f"  {x}" for x in self.console)
        return text


class CommandTimeoutError(WaitTimeoutError):
    """A command in a guest did not end in time.

    Attributes:
        command: The command as it was given to the guest's shell.
        out: Its standard output so far.
        err: Its standard error so far.
    """

    def __init__(
        self, message: str, *, command: str, out: str, err: str, hint: str | None = None
    ) -> None:
        self.command = command
        self.out = out
        self.err = err
        output = shorten(err or out)
        told = f"its output so far ends: {output[-500:]}" if output else "it has written nothing"
        super().__init__(message, stage="command started", hint=hint or told)


def shorten(text: str, limit: int = _OUTPUT_LIMIT) -> str:
    """Return *text* stripped, its middle cut out where it exceeds *limit* characters."""
    text = text.strip()
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Return a hint that helps somebody who wrote *name* where one of *known* was expected.

    ``did you mean 'lan'?`` when something is close, else the names there are, else ``None``.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(names)}" if names else None
