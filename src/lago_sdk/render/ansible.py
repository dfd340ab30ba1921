"""Ansible inventories, as INI, as YAML and as what a dynamic inventory answers.

Sources: docs.ansible.com, "How to build your inventory", "ansible.builtin.ini", "Developing
dynamic inventory". Lago's groups are ``key=value``; Ansible takes letters, digits and ``_`` only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from lago_sdk.render.yaml import render_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

InventoryFormat: TypeAlias = Literal["ini", "yaml", "json"]

_INVALID = re.compile(r"\W", re.ASCII)
_RESERVED = frozenset({"all", "ungrouped", "_meta"})
"""Groups that Ansible has already, and the key beside groups in a dynamic inventory."""
_PLAIN = re.compile(r"[A-Za-z_/][\w/.@:+-]*|\d+(\.\d+){3}|[\da-f]+:[\da-f:]+", re.ASCII)
_TEXT = re.compile(r"[%-]?[A-Za-z_/(][^\"\\#\n\r]*")
"""What no Python literal looks like, but those below."""
_LITERAL = re.compile(r"True|False|None|set\(\)|[bru]{1,2}'.*", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{[{%#]")
_GROUPS = "lago_groups"


@attrs.frozen(kw_only=True)
class InventoryHost:
    """One machine of an inventory."""

    name: str
    groups: tuple[str, ...]
    """Its groups, as they are called here."""
    variables: Mapping[str, object]


def list_groups(facts: Mapping[str, object], keys: Iterable[str]) -> tuple[str, ...]:
    """Return the groups that a machine with *facts* is in by the key paths *keys*.

    Lago's rules: parts of a path are separated by slashes, a number is an index into a list, a
    leading slash may be left out, and a missing key gives no group. A value gives the group
    ``path=value``, a list one for each item, and a map those of the paths below it.
    """
    found: dict[str, None] = {}
    for key in keys:
        value = find_value(facts, key)
        path = key.strip("/")
        found.update(dict.fromkeys(_name_values(path, value)))
    return tuple(found)


def find_value(facts: Mapping[str, object], key: str) -> object:
    """Return what is at the key path *key* of *facts*, or ``None``."""
    current: object = facts
    for part in _split(key):
        current = find_part(current, part)
    return current


def find_part(value: object, part: str) -> object:
    """Return the entry *part* of a map, or of a list where it is an index; else ``None``."""
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, Sequence) and not isinstance(value, str) and part.isdecimal():
        index = int(part)
        return value[index] if index < len(value) else None
    return None


def list_parts(value: object) -> tuple[str, ...]:
    """Return what could be the next part of a key path that leads to *value*."""
    if isinstance(value, Mapping):
        return tuple(str(key) for key, item in value.items() if item is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(index) for index in range(len(value)))
    return ()


def _split(key: str) -> list[str]:
    return [part for part in key.split("/") if part]


def _name_values(path: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _name_values(f"{path}/{key}".lstrip("/"), item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            is_plain = isinstance(item, str) or not isinstance(item, Mapping | Sequence)
            yield from _name_values(path if is_plain else f"{path}/{index}", item)
    elif value is not None and value != "":
        yield f"{path}={value}"


def name_groups(groups: Iterable[str]) -> dict[str, str]:
    """Return the name by which Ansible knows each of *groups*.

    Whatever is no letter, digit or ``_`` becomes ``_``, and a digit in front gets one before it.
    Groups that would then be called the same are numbered: ``a_b`` stays, ``a-b`` is ``a_b_2``.
    """
    names: dict[str, str] = {}
    taken = set(_RESERVED)
    wanted = {group: _clean(group) for group in groups}
    for group, clean in sorted(wanted.items(), key=lambda item: (item[0] != item[1], item[0])):
        name, number = clean, 1
        while name in taken:
            number += 1
            name = f"{clean}_{number}"
        taken.add(name)
        names[group] = name
    return names


def _clean(group: str) -> str:
    name = _INVALID.sub("_", group)
    return f"_{name}" if not name or name[0].isdigit() else name


def render_inventory(hosts: Sequence[InventoryHost], form: InventoryFormat) -> str:
    """Return the inventory of *hosts* in the format *form*.

    Each machine has its groups' own names in the variable ``lago_groups``, with Ansible's.
    """
    names = name_groups(group for host in hosts for group in host.groups)
    members: dict[str, list[str]] = {}
    variables: dict[str, Mapping[str, object]] = {}
    for host in hosts:
        for group in host.groups:
            members.setdefault(names[group], []).append(host.name)
        variables[host.name] = _host_variables(host, names)
    if form == "ini":
        return "\n".join(_list_ini(variables, members)) + "\n"
    if form == "yaml":
        return render_yaml(_nest(variables, members))
    return json.dumps(_answer_list(variables, members), indent=4) + "\n"


def render_host(host: InventoryHost, hosts: Sequence[InventoryHost]) -> str:
    """Return what a dynamic inventory of *hosts* answers to ``--host`` for one of them."""
    names = name_groups(group for other in hosts for group in other.groups)
    return json.dumps(_host_variables(host, names), indent=4) + "\n"


def _host_variables(host: InventoryHost, names: Mapping[str, str]) -> dict[str, object]:
    groups = {group: names[group] for group in host.groups}
    return {key: _literal(value) for key, value in {**host.variables, _GROUPS: groups}.items()}


def _literal(value: object) -> object:
    """Return *value* so that Ansible sees no template in it."""
    if isinstance(value, Mapping):
        return {str(key): _literal(item) for key, item in value.items()}
    if isinstance(value, str) and _TEMPLATE.search(value):
        return f"{{% raw %}}{value}{{% endraw %}}"
    return value


def _list_ini(
    variables: Mapping[str, Mapping[str, object]], members: Mapping[str, list[str]]
) -> Iterator[str]:
    for name, values in variables.items():
        yield " ".join([name, *(f"{key}={_ini(value)}" for key, value in values.items())])
    for group, names in members.items():
        yield ""
        yield f"[{group}]"
        yield from names


def _ini(value: object) -> str:
    """Return *value* for a host's line: split as a shell does, then read as Python's literal."""
    text = str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return text
    if isinstance(value, str) and not _LITERAL.fullmatch(text):
        if _PLAIN.fullmatch(text):
            return text
        if _TEXT.fullmatch(text):
            return f'"{text}"'
    escaped = repr(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _nest(
    variables: Mapping[str, Mapping[str, object]], members: Mapping[str, list[str]]
) -> dict[str, object]:
    children = {group: {"hosts": dict.fromkeys(names)} for group, names in members.items()}
    return {"all": {"hosts": variables, "children": children}}


def _answer_list(
    variables: Mapping[str, Mapping[str, object]], members: Mapping[str, list[str]]
) -> dict[str, object]:
    groups = {group: {"hosts": names} for group, names in members.items()}
    return {
        "_meta": {"hostvars": variables},
        "all": {"hosts": list(variables), "children": list(groups)},
        **groups,
    }
