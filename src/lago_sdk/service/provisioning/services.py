"""Services in guests: who manages them is found out once, and remembered in the prefix."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.errors import ServiceError, shorten
from lago_sdk.ports import PluginKind
from lago_sdk.service.plugged.shapes import accept_service_provider
from lago_sdk.service.provisioning.providers import Containers, list_providers
from lago_sdk.state import ServiceAction, ServiceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Plugins, RunInGuest, ServiceProvider
    from lago_sdk.service.context import PrefixContext

_DONE = {
    ServiceAction.START: ServiceState.ACTIVE,
    ServiceAction.STOP: ServiceState.INACTIVE,
}
"""The state in which an action has nothing to do; a restart always has."""


def find_service_state(
    vm: VMPlan, service: str, *, run: RunInGuest, context: PrefixContext
) -> ServiceState:
    """Return the state of *service* in the guest of *vm*.

    Raises:
        ServiceError: Nothing that we know manages services there, or the name is none.
    """
    _check_name(vm, service)
    return _get_provider(vm, service, run=run, context=context).find_state(service, run)


def change_service(
    vm: VMPlan, service: str, action: ServiceAction, *, run: RunInGuest, context: PrefixContext
) -> bool:
    """Start, stop or restart *service*; returns whether there was anything to do.

    Raises:
        ServiceError: There is no such service, or it failed; the hint holds what is known of it.
    """
    _check_name(vm, service)
    provider = _get_provider(vm, service, run=run, context=context)
    state = provider.find_state(service, run)
    if state is ServiceState.MISSING:
        message = f"{vm.name!r} has no service {service!r} ({provider.name} knows none)"
        raise ServiceError(vm.name, message, hint="look at how the guest spells its name")
    if state is _DONE.get(action):
        return False
    result = provider.act(action, service, run)
    if result.code == 0:
        return True
    message = f"{action.value} of {service!r} on {vm.name!r} failed with exit code {result.code}"
    told = shorten(provider.explain(service, run)) or shorten(result.err or result.out)
    raise ServiceError(vm.name, message, hint=f"it tells:\n{told}" if told else None)


def _check_name(vm: VMPlan, service: str) -> None:
    if service and not service.startswith("-") and service.isprintable() and " " not in service:
        return
    message = f"{service!r} cannot be the name of a service on {vm.name!r}"
    raise ServiceError(vm.name, message, hint="for example: nginx, or mydb/postgresql")


def _get_provider(
    vm: VMPlan, service: str, *, run: RunInGuest, context: PrefixContext
) -> ServiceProvider:
    """Return what manages *service*: as the spec says, as remembered, or as found out now."""
    known = _list_known(vm, context.world.plugins)
    if vm.spec.service_provider is not None:
        return _get_named(vm, vm.spec.service_provider, known)
    if "/" in service:
        return known[Containers.name]
    remembered = _read(context).get(vm.name)
    if remembered in known:
        return known[remembered]
    for provider in known.values():
        if provider.is_present(run):
            _remember(vm, provider, context)
            return provider
    message = f"nothing that we know manages services on {vm.name!r}"
    raise ServiceError(vm.name, message, hint=f"known are: {', '.join(known)}")


def _list_known(vm: VMPlan, plugins: Plugins) -> dict[str, ServiceProvider]:
    """Return the providers by name, in the order in which a guest is asked for them.

    Plugins come first: they are for what ours do not see, or see and do not understand. Where the
    spec names a provider only that one is imported.
    """
    own = {provider.name: provider for provider in list_providers()}
    asked = vm.spec.service_provider
    if asked in own:
        return own
    kind = PluginKind.SERVICE_PROVIDER
    names = plugins.list_names(kind) if asked is None else (asked,)
    known = {
        name: found
        for name in names
        if (found := plugins.find(kind, name, partial(accept_service_provider, name=name)))
    }
    return {**known, **own}


def _get_named(vm: VMPlan, name: str, known: Mapping[str, ServiceProvider]) -> ServiceProvider:
    if name in known:
        return known[name]
    message = f"the service_provider {name!r} of {vm.name!r} is not known"
    raise ServiceError(vm.name, message, hint=f"there are: {', '.join(known)}")


def _read(context: PrefixContext) -> dict[str, str]:
    """Return the provider of each VM by name, as far as found out."""
    try:
        found = json.loads(context.layout.service_providers.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(vm): str(name) for vm, name in found.items()} if isinstance(found, dict) else {}


def _remember(vm: VMPlan, provider: ServiceProvider, context: PrefixContext) -> None:
    """Write it down; of two that write at once one is found out again later."""
    text = json.dumps({**_read(context), vm.name: provider.name}, indent=2)
    context.world.files.write_atomic(context.layout.service_providers, text + "\n")
