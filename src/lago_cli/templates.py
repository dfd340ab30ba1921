"""Templates as data and as tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lago_cli.output import render_table
from lago_cli.tables import as_data
from lago_cli.units import format_date, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_cli.output import Data
    from lago_sdk import CatalogueEntry, GarbageReport, OutdatedTemplate, Template, TemplateInfo

_SHOWN_ENTRIES = 12


def template_data(item: "Template") -> "dict[str, Data]":
    """Return a template as data; sizes in bytes, times in ISO 8601."""
    return {
        "name": item.name,
        "version": item.version,
        "made": format_date(item.timestamp),
        "path": item.image.path,
        "format": item.image.format.value,
        "size": item.image.size,
        "digest": item.image.digest,
    }


def info_data(item: "TemplateInfo") -> "dict[str, Data]":
    """Return what is known of a template as data."""
    return {
        **template_data(item.template),
        "disk_usage": item.disk_usage,
        "last_used": format_date(item.last_used),
        "used_by": [str(use.prefix) for use in item.users],
        "below": item.template.below,
        "above": list(item.above),
    }


def full_data(item: "TemplateInfo") -> "dict[str, Data]":
    """Return all that is known of one template as data."""
    facts = item.template.image.metadata
    return {**info_data(item), "metadata": as_data(dict(facts))}


def info_table(items: "Sequence[TemplateInfo]") -> str:
    """Return a table of templates."""
    head = ("NAME", "VERSION", "SIZE", "ON DISK", "USED BY", "LAST USED", "FILE")
    rows = [
        (
            item.template.name,
            item.template.version,
            format_size(item.template.image.size),
            format_size(item.disk_usage),
            _describe_users(item),
            format_date(item.last_used),
            item.template.image.path,
        )
        for item in items
    ]
    return render_table("", head, rows)


def full_table(item: "TemplateInfo") -> str:
    """Return all that is known of one template, a line each."""
    image = item.template.image
    rows: list[tuple[str, str | None]] = [
        ("template", item.template.reference),
        ("file", image.path),
        ("format", image.format.value),
        ("size", format_size(image.size)),
        ("on disk", format_size(item.disk_usage)),
        ("digest", image.digest),
        ("made", format_date(item.template.timestamp)),
        ("last used", format_date(item.last_used)),
        ("made on", item.template.below),
        *(("used by", str(use.prefix)) for use in item.users),
        *(("below", reference) for reference in item.above),
        *_list_facts(image.metadata),
    ]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:{width}}  {value}" for key, value in rows if value is not None)


def _list_facts(metadata: "Mapping[str, object]") -> "Iterator[tuple[str, str]]":
    """List facts, a line each; ``-f json`` has the whole of what is long."""
    for key, value in sorted(metadata.items()):
        if isinstance(value, Mapping) and len(value) > _SHOWN_ENTRIES:
            yield f"metadata {key}", f"{len(value)} entries; -f json shows them"
        elif isinstance(value, Mapping):
            yield from ((f"metadata {key} {word}", str(fact)) for word, fact in value.items())
        elif isinstance(value, (list, tuple)):
            yield f"metadata {key}", ", ".join(map(str, value))
        else:
            yield f"metadata {key}", str(value)


def garbage_data(report: "GarbageReport") -> "Data":
    """Return what was removed as data."""
    return {
        "dry_run": report.is_dry,
        "freed": report.freed,
        "removed": [info_data(item) for item in report.removed],
        "kept": [item.template.reference for item in report.kept],
    }


def catalogue_data(entry: "CatalogueEntry") -> "Data":
    """Return an image of the catalogue as data."""
    return {
        "name": entry.name,
        "title": entry.title,
        "distro": entry.distro,
        "arches": sorted(entry.arches),
        "url": entry.url,
        "user": entry.user,
        "firmware": list(entry.firmware),
        "memory": entry.memory,
        "cloud_init": entry.cloud_init,
        "guest_agent": entry.guest_agent,
        "origin": entry.origin,
    }


def catalogue_table(entries: "Sequence[CatalogueEntry]") -> str:
    """Return a table of the catalogue."""
    head = ("NAME", "WHAT", "ARCHITECTURES", "USER", "MEMORY", "FIRMWARE", "CLOUD-INIT", "AGENT")
    rows = [
        (
            entry.name,
            entry.title,
            ", ".join(sorted(entry.arches)),
            entry.user,
            f"{entry.memory} MiB",
            ", ".join(entry.firmware),
            "yes" if entry.cloud_init else None,
            "yes" if entry.guest_agent else None,
        )
        for entry in entries
    ]
    return render_table("", head, rows)


def outdated_data(item: "OutdatedTemplate") -> "Data":
    """Return a template that is outdated as data."""
    return {
        "name": item.name,
        "version": item.version,
        "published": item.published,
        "url": item.url,
    }


def outdated_table(items: "Sequence[OutdatedTemplate]") -> str:
    """Return a table of templates that are outdated."""
    rows = [(item.name, item.version, item.published, item.url) for item in items]
    return render_table("", ("NAME", "VERSION", "PUBLISHED", "URL"), rows)


def _describe_users(item: "TemplateInfo") -> str | None:
    count = len(item.users)
    parts = [f"{count} prefix{'' if count == 1 else 'es'}"] if count else []
    parts += [f"{len(item.above)} above"] if item.above else []
    return ", ".join(parts) or None
