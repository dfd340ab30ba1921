"""What can be done without a prefix: check, plan, build templates, look at the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.config import Config
from lago_sdk.events import ignore
from lago_sdk.spec.prefix import PrefixSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from lago_sdk.adapters.hosts.findings import Finding
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Plan
    from lago_sdk.spec.problems import Problem
    from lago_sdk.templates.store import Template

_EXAMPLE_UUID = "0" * 32
"""Stands for the uuid that a real prefix draws."""


def check_init_file(path: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """Return everything that is wrong or odd in an init file, warnings included.

    Files that it names and that are not there are problems too.
    """
    from lago_sdk.codec import check_file
    from lago_sdk.connect import local_environ

    _, problems = check_file(path, environ=local_environ())
    return problems


def plan_spec(
    spec: PrefixSpec | Mapping[str, object] | str | os.PathLike[str],
    *,
    uuid: str = _EXAMPLE_UUID,
    config: Config | None = None,
) -> Plan:
    """Return the plan of a spec as an empty host would carry it out; touches nothing.

    Args:
        spec: A `PrefixSpec`, a mapping of the shape of an init file, or the path of one.
        uuid: 32 hex digits that libvirt names, bridge MACs and uuids are made from.
        config: Settings, for the template store; `Config.load` when ``None``.

    Raises:
        SpecError: The spec is wrong; carries every problem.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.plan.planner import plan_prefix
    from lago_sdk.service.disks import find_images

    checked = PrefixSpec.of(spec)
    images = find_images(checked, open_store(config or Config.load()), fetch=False)
    return plan_prefix(checked, uuid=uuid, images=images)


def build_template(
    name: str,
    *,
    config: Config | None = None,
    observer: Observer | None = None,
    force: bool = False,
) -> Template:
    """Build a template from its recipe into the store, unless it is there.

    Args:
        name: The recipe, for example ``"tiny"``.
        config: Settings; `Config.load` when ``None``.
        observer: Told of the stages.
        force: Build it anew.

    Raises:
        TemplateNotFoundError: There is no such recipe; the hint names those there are.
        TemplateError: It cannot be built.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.build import build_template as build

    store = open_store(config or Config.load())
    return build(name, store=store, observer=observer or ignore, force=force)


def list_templates(*, config: Config | None = None) -> tuple[Template, ...]:
    """Return the templates in the store, by name, newest version first."""
    from lago_sdk.connect import open_store

    return open_store(config or Config.load()).list()


def diagnose(*, config: Config | None = None) -> tuple[Finding, ...]:
    """Look at what this machine offers and lacks for running prefixes; starts nothing."""
    from lago_sdk.connect import diagnose_hosts

    return diagnose_hosts(config or Config.load())
