"""The QEMU guest agent: a program in the guest that obeys over a port of its VM.

Its protocol is JSON (https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html); libvirt
carries the messages.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""A document as ``json`` reads it."""


class AgentState(enum.Enum):
    """What the hypervisor knows of the agent in a guest, without asking it."""

    ABSENT = "absent"
    """The VM has no port for it, or is off."""
    DISCONNECTED = "disconnected"
    """The port is there, and nobody in the guest has opened it."""
    CONNECTED = "connected"
    """A program in the guest has opened the port; it may hang all the same."""


class AgentSilentError(Exception):
    """The agent did not answer in time, or there is none.

    It says so to the services, which find out why, and does not leave them.
    """


class AgentRefusedError(Exception):
    """The agent says that it cannot or may not do what it was asked; its text tells why.

    It says so to the services, and does not leave them.
    """


class Agents(Protocol):
    """Agents in the guests of the hypervisor's domains."""

    def find_agent_state(self, domain: str) -> AgentState:
        """Look whether somebody in the guest has opened the agent's port."""

    def ask_agent(
        self, domain: str, command: str, arguments: Mapping[str, JSON], *, timeout: float
    ) -> JSON:
        """Have the agent do *command*; returns what it returned.

        Args:
            domain: Name of the domain.
            command: Name of the agent's command, for example ``guest-ping``.
            arguments: Its arguments by the agent's names.
            timeout: Seconds that the answer may take, rounded up; before that the agent has
                some five seconds to show that it is there.

        Raises:
            AgentSilentError: No answer.
            AgentRefusedError: The answer was no.
            HypervisorError: The domain is off.
        """

    def shut_down_by_agent(self, domain: str, *, reboot: bool) -> None:
        """Have the agent power the guest off or reboot it.

        Raises:
            AgentSilentError: No answer.
            AgentRefusedError: The answer was no.
            HypervisorError: The domain is off.
        """
