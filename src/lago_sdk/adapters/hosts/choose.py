"""Decides which host a new prefix runs on, and tells why."""

from __future__ import annotations

from lago_sdk.adapters.cpu import find_accel
from lago_sdk.adapters.hosts.checks import check_private
from lago_sdk.adapters.hosts.findings import Finding
from lago_sdk.adapters.hosts.system import SYSTEM_URI, check_system, is_remote
from lago_sdk.config import AccelChoice
from lago_sdk.errors import HostError

AUTO = "auto"
PRIVATE = "private"
SYSTEM = "system"


def choose_host(wanted: str, *, ephemeral: bool = False) -> str:
    """Decide where a prefix runs.

    ``auto`` is private where namespaces can be made, else system where its socket answers.

    Args:
        wanted: ``auto``, ``private``, ``system`` or a libvirt URI.
        ephemeral: Whether it shall die with its owner, which only a private host can do.

    Returns:
        ``private`` or a libvirt URI.

    Raises:
        HostError: This machine cannot do that; the hint says what to install or allow.
    """
    if ephemeral and wanted not in {AUTO, PRIVATE}:
        raise HostError(
            f"an ephemeral prefix cannot run on {wanted!r}: only a private host ends with its owner"
        )
    if is_remote(wanted):
        raise HostError(
            f"prefixes on another machine ({wanted}) are not supported",
            hint="run on that machine itself",
        )
    if wanted == PRIVATE:
        _demand("a private host cannot be made", check_private())
        return PRIVATE
    if wanted != AUTO:
        uri = SYSTEM_URI if wanted == SYSTEM else wanted
        _demand(f"{uri} cannot be used", check_system(uri))
        return uri
    obstacle = _find_obstacle(check_private())
    if obstacle is None:
        return PRIVATE
    if ephemeral:
        raise _refuse("a private host cannot be made", obstacle)
    if _find_obstacle(check_system()) is None:
        return SYSTEM_URI
    raise _refuse(f"no private host can be made, and {SYSTEM_URI} cannot be used", obstacle)


def list_findings(wanted: str) -> tuple[Finding, ...]:
    """Look at all that *wanted* needs of this machine; starts nothing.

    With ``auto`` the system host is looked at only where a private host cannot be made.
    """
    accel, reason = find_accel(AccelChoice.AUTO)
    findings = [Finding(name="acceleration", ok=True, message=f"{accel.value}: {reason}")]
    if wanted in {AUTO, PRIVATE}:
        findings += check_private()
    if wanted not in {AUTO, PRIVATE} or (wanted == AUTO and _find_obstacle(findings)):
        findings += check_system(SYSTEM_URI if wanted in {AUTO, SYSTEM} else wanted)
    return tuple(findings)


def _find_obstacle(findings: tuple[Finding, ...] | list[Finding]) -> Finding | None:
    return next((finding for finding in findings if not finding.ok), None)


def _demand(what: str, findings: tuple[Finding, ...]) -> None:
    obstacle = _find_obstacle(findings)
    if obstacle is not None:
        raise _refuse(what, obstacle)


def _refuse(what: str, obstacle: Finding) -> HostError:
    return HostError(f"{what}: {obstacle.message}", hint=obstacle.hint)
