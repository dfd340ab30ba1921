"""The guest agent behind the `Agents` port.

libvirt looks whether an agent is there (``guest-sync``, for five seconds at most) before each
message, one message at a time for each domain. A message has 4 MiB at most, either way: the
limit of libvirt's own protocol (``REMOTE_STRING_MAX``).
"""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.errors import Reason, find_reason, tolerated
from lago_sdk.adapters.libvirt.part import Part
from lago_sdk.ports.agent import AgentRefusedError, AgentSilentError, AgentState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.ports.agent import JSON

_CHANNEL = "org.qemu.guest_agent.0"
_REFUSAL = re.compile(
    r"unable to execute QEMU agent command '[^']*': "
    r"(?:Guest agent command failed, error was )?(.*)",
    re.DOTALL,
)
"""How libvirt tells an error that the agent told."""
_PREFIX = "Guest agent is not responding: "


class LibvirtAgents(Part):
    """The agents in the guests of a libvirtd, as a `lago_sdk.ports.Agents`."""

    def find_agent_state(self, domain: str) -> AgentState:
        """See `Agents.find_agent_state`."""
        action = f"look at the agent of domain {domain!r}"
        with self._doing(action) as connection, tolerated(Reason.ABSENT):
            return _read_state(connection.lookupByName(domain).XMLDesc(0))
        return AgentState.ABSENT

    def ask_agent(
        self, domain: str, command: str, arguments: Mapping[str, JSON], *, timeout: float
    ) -> JSON:
        """See `Agents.ask_agent`."""
        import libvirt_qemu

        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = dict(arguments)
        text = json.dumps(request)
        with self._with_agent(domain, f"run {command} in domain {domain!r}") as found:
            reply = libvirt_qemu.qemuAgentCommand(found, text, max(1, math.ceil(timeout)), 0)
        answer: JSON = json.loads(reply)["return"]
        return answer

    def shut_down_by_agent(self, domain: str, *, reboot: bool) -> None:
        """See `Agents.shut_down_by_agent`."""
        import libvirt

        action = "reboot" if reboot else "shut down"
        with self._with_agent(domain, f"{action} domain {domain!r} by its agent") as found:
            if reboot:
                found.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT)
            else:
                found.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)

    @contextmanager
    def _with_agent(self, domain: str, action: str) -> Iterator[Any]:
        """Give the ``virDomain`` to a block that asks its agent."""
        import libvirt

        with self._with_domain(domain, action) as found:
            try:
                yield found
            except libvirt.libvirtError as error:
                message = str(error.get_error_message())
                if find_reason(error) is Reason.AGENT:
                    raise AgentSilentError(message.removeprefix(_PREFIX)) from error
                refusal = _REFUSAL.search(message)
                if refusal is not None:
                    raise AgentRefusedError(refusal[1].strip("'")) from error
                raise


def _read_state(xml: str) -> AgentState:
    """Return what the XML of a domain says of the agent's port."""
    for target in ET.fromstring(xml).iterfind("devices/channel/target"):  # noqa: S314 - libvirt's
        if target.get("name") == _CHANNEL and target.get("state") is not None:
            is_open = target.get("state") == "connected"
            return AgentState.CONNECTED if is_open else AgentState.DISCONNECTED
    return AgentState.ABSENT
