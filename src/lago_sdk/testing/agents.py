"""Guest agents of the fake hypervisor: they run the commands they were told the answers of."""

from __future__ import annotations

import base64
import re
import shlex
from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError
from lago_sdk.ports.agent import AgentRefusedError, AgentSilentError, AgentState
from lago_sdk.results import CommandResult
from lago_sdk.testing.guest import Call
from lago_sdk.testing.hypervisor_part import FakePart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lago_sdk.ports.agent import JSON

_COMMAND = re.compile(
    r"umask 077; exec > (?P<out>\S+) 2> (?P<err>\S+)(?: < (?P<input>\S+))?; umask 022\n"
    r"(?:export (?P<env>.*)\n)?(?:exec )?(?P<command>(?s:.*))\Z"
)
"""The form in which `lago_sdk` runs a command by an agent."""
_CREATION = re.compile(r"umask \d+; \[ -e (?P<path>\S+) \]")
_NOT_FOUND = 127


class FakeAgent:
    """A guest agent that answers what it was told to answer; it also keeps files.

    Attributes:
        calls: The commands it was asked to run, in order.
        files: Contents of the guest's files by their paths.
        replies: What other commands of the protocol return, by their names.
        frozen: How often the file systems were frozen and not thawed.
        error: Raised by everything, as long as it is set.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, JSON] = {"guest-ping": {}, "guest-set-time": {}}
        self.frozen = 0
        self.error: Exception | None = None
        self._answers: dict[str, Callable[[Call], CommandResult]] = {}
        self._codes: dict[int, int | None] = {}
        self._handles: dict[int, tuple[str, int]] = {}

    def answer(self, command: str, *, code: int = 0, out: str = "", err: str = "") -> None:
        """Have *command* end with *code* and that output."""
        result = CommandResult(command=command, code=code, out=out, err=err)
        self._answers[command] = lambda _call: result

    def hang_at(self, command: str) -> None:
        """Have *command* never end."""
        self._answers.pop(command, None)
        self._codes[-hash(command)] = None

    def ask(self, command: str, arguments: Mapping[str, JSON]) -> JSON:
        """Do a command of the agent's protocol.

        Raises:
            AgentRefusedError: It knows no such command, file or handle.
        """
        if self.error is not None:
            raise self.error
        act = getattr(self, f"_{command.removeprefix('guest-').replace('-', '_')}", None)
        if act is not None:
            answer: JSON = act(arguments)
            return answer
        if command not in self.replies:
            raise AgentRefusedError(f"The command {command} has not been found")
        return self.replies[command]

    def _fsfreeze_freeze(self, _arguments: Mapping[str, JSON]) -> JSON:
        self.frozen += 1
        return 1

    def _fsfreeze_thaw(self, _arguments: Mapping[str, JSON]) -> JSON:
        thawed, self.frozen = self.frozen, 0
        return thawed

    def _exec(self, arguments: Mapping[str, JSON]) -> JSON:
        words = arguments["arg"]
        script = str(words[-1]) if isinstance(words, list) else ""
        pid = len(self._codes) + 1
        self._codes[pid] = 0
        creation = _CREATION.match(script)
        if creation is not None:
            self.files.setdefault(*(shlex.split(creation["path"])[0], b""))
        elif script.startswith("rm -f "):
            stem = script.removeprefix("rm -f ").rstrip("*")
            self.files = {k: v for k, v in self.files.items() if not k.startswith(stem)}
        else:
            found = _COMMAND.match(script)
            if found is not None:
                self._codes[pid] = self._run(found, str(arguments.get("input-data", "")))
        return {"pid": pid}

    def _run(self, found: re.Match[str], data: str) -> int | None:
        words = shlex.split(found["env"] or "")
        given = self.files.get(found["input"] or "") or base64.b64decode(data)
        env = dict(word.split("=", 1) for word in words)
        call = Call(command=found["command"], input=given or None, env=env)
        self.calls.append(call)
        reply = self._answers.get(call.command)
        result = CommandResult(command=call.command, code=_NOT_FOUND, out="", err="not found\n")
        if reply is not None:
            result = reply(call)
        self.files[found["out"]] = result.out.encode()
        self.files[found["err"]] = result.err.encode()
        return None if -hash(call.command) in self._codes else result.code

    def _exec_status(self, arguments: Mapping[str, JSON]) -> JSON:
        code = self._codes[int(str(arguments["pid"]))]
        return {"exited": False} if code is None else {"exited": True, "exitcode": code}

    def _file_open(self, arguments: Mapping[str, JSON]) -> JSON:
        path, handle = str(arguments["path"]), 1000 + len(self._handles)
        if arguments["mode"] == "w":
            self.files[path] = b""
        elif path not in self.files:
            message = f"failed to open file '{path}' (mode: 'r'): No such file or directory"
            raise AgentRefusedError(message)
        self._handles[handle] = (path, 0)
        return handle

    def _file_read(self, arguments: Mapping[str, JSON]) -> JSON:
        handle, count = int(str(arguments["handle"])), int(str(arguments["count"]))
        path, start = self._handles[handle]
        data = self.files[path][start : start + count]
        self._handles[handle] = (path, start + len(data))
        is_end = start + len(data) >= len(self.files[path])
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": is_end}

    def _file_write(self, arguments: Mapping[str, JSON]) -> JSON:
        path, _ = self._handles[int(str(arguments["handle"]))]
        data = base64.b64decode(str(arguments["buf-b64"]))
        self.files[path] += data
        return {"count": len(data), "eof": False}

    def _file_flush(self, _arguments: Mapping[str, JSON]) -> JSON:
        return {}

    _file_close = _file_flush


class FakeAgents(FakePart):
    """Guests without an agent, until a test puts one in."""

    def put_agent(self, domain: str, agent: FakeAgent | None = None) -> FakeAgent:
        """Let the guest of *domain* have an agent; returns it."""
        with self._lock:
            self._agents[domain] = agent or FakeAgent()
            return self._agents[domain]

    def find_agent_state(self, domain: str) -> AgentState:
        """See `Agents.find_agent_state`."""
        with self._lock:
            self._begin("find_agent_state", domain)
            record = self._domains.get(domain)
            if record is None or not record.state.is_active:
                return AgentState.ABSENT
            has_agent = domain in self._agents
            return AgentState.CONNECTED if has_agent else AgentState.DISCONNECTED

    def ask_agent(
        self,
        domain: str,
        command: str,
        arguments: Mapping[str, JSON],
        *,
        timeout: float,  # noqa: ARG002 - a fake needs no time
    ) -> JSON:
        """See `Agents.ask_agent`."""
        with self._lock:
            self._begin("ask_agent", domain)
            return self._get_agent(domain).ask(command, arguments)

    def shut_down_by_agent(self, domain: str, *, reboot: bool) -> None:
        """See `Agents.shut_down_by_agent`."""
        with self._lock:
            self._begin("shut_down_by_agent", domain)
            self._get_agent(domain)
            if not reboot:
                self._switch_off(domain, "shut down")

    def _get_agent(self, domain: str) -> FakeAgent:
        record = self._domains.get(domain)
        if record is None or not record.state.is_active:
            raise HypervisorError(f"the domain {domain!r} is not running")
        if domain not in self._agents:
            raise AgentSilentError("QEMU guest agent is not connected")
        return self._agents[domain]
