"""Serial consoles behind the `Consoles` port: libvirt's streams, fed by its event loop."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from lago_sdk.adapters.libvirt.errors import translate, translated
from lago_sdk.adapters.libvirt.part import Part
from lago_sdk.errors import HypervisorError
from lago_sdk.ports.consoles import ConsoleBusyError

if TYPE_CHECKING:
    from lago_sdk.ports import ConsoleStream

_CHUNK = 65_536
_WOULD_BLOCK = -2
"""What libvirt's binding returns where there is nothing to read, or no room to write."""
_RETRY_SECONDS = 0.01
_WRITE_SECONDS = 30.0
"""Longest wait for room; a guest that is paused reads nothing."""
_BUSY = "Active console session exists"


class LibvirtConsoles(Part):
    """The consoles of a libvirtd's domains, as a `lago_sdk.ports.Consoles`."""

    def open_console(self, domain: str, *, force: bool = False) -> ConsoleStream:
        """See `Consoles.open_console`."""
        return self._open_console(domain, force=force)

    def attach_console(self, domain: str, *, force: bool = False) -> None:
        """See `Consoles.attach_console`."""
        from lago_sdk.adapters.terminal import attach_stream

        stream = self._open_console(domain, force=force)
        try:
            attach_stream(stream)
        finally:
            stream.close()

    def _open_console(self, domain: str, *, force: bool) -> LibvirtConsoleStream:
        import libvirt

        flags = libvirt.VIR_DOMAIN_CONSOLE_SAFE
        if force:
            flags |= libvirt.VIR_DOMAIN_CONSOLE_FORCE
        with self._with_domain(domain, f"open the console of domain {domain!r}") as found:
            stream = found.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
            try:
                found.openConsole(None, stream, flags)
            except libvirt.libvirtError as error:
                if _BUSY in str(error):
                    raise ConsoleBusyError from error
                raise
            return LibvirtConsoleStream(stream, domain)


class LibvirtConsoleStream:
    """An open console, as a `lago_sdk.ports.ConsoleStream`.

    libvirt's event loop reads it, so that nothing is lost while nobody looks.
    """

    def __init__(self, stream: Any, domain: str) -> None:
        import libvirt

        self._stream = stream
        self._action = f"use the console of domain {domain!r}"
        self._shown = bytearray()
        self._error: HypervisorError | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable where something was shown, or the console has closed."""
        events = (
            libvirt.VIR_STREAM_EVENT_READABLE
            | libvirt.VIR_STREAM_EVENT_ERROR
            | libvirt.VIR_STREAM_EVENT_HANGUP
        )
        with translated(self._action):
            stream.eventAddCallback(events, self._on_event, None)

    def fileno(self) -> int:
        """A descriptor that is readable when `read` would return at once."""
        return self._news

    def read(self, timeout: float) -> bytes:
        """See `ConsoleStream.read`."""
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        poll.poll(timeout * 1000)
        with self._lock:
            shown = bytes(self._shown)
            self._shown.clear()
            if self._error is None:
                self._quiet()
            elif not shown:
                raise self._error
        return shown

    def write(self, data: bytes) -> None:
        """See `ConsoleStream.write`."""
        deadline = time.monotonic() + _WRITE_SECONDS
        while data:
            with self._lock:
                if self._error is not None:
                    raise self._error
            with translated(self._action):
                sent = self._stream.send(data)
            if sent != _WOULD_BLOCK:
                data = data[sent:]
            elif time.monotonic() > deadline:
                message = f"cannot {self._action}: nobody reads what is typed"
                raise HypervisorError(message, hint="is the guest paused?")
            else:
                time.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        """See `ConsoleStream.close`."""
        import libvirt

        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            if self._error is None:
                self._stream.eventRemoveCallback()
                self._stream.finish()
        except libvirt.libvirtError:
            pass  # it was lost while we let go of it
        finally:
            with self._lock:
                os.close(self._news)
                self._news = -1

    def _on_event(self, stream: Any, _events: int, _opaque: object) -> None:
        """Take what was shown; called in libvirt's event loop."""
        import libvirt

        with self._lock:
            if self._closed or self._error is not None:
                return
            try:
                data = stream.recv(_CHUNK)
                while data and data != _WOULD_BLOCK:
                    self._shown += data
                    data = stream.recv(_CHUNK)
                if data == b"":
                    self._end(HypervisorError("the console was closed: the VM is going off"))
            except libvirt.libvirtError as error:
                self._end(_explain(error, self._action))
            os.eventfd_write(self._news, 1)

    def _end(self, error: HypervisorError) -> None:
        """Note why nothing more will come; else libvirt would tell it for ever."""
        import libvirt

        self._error = error
        try:
            self._stream.eventRemoveCallback()
            self._stream.abort()
        except libvirt.libvirtError:
            return

    def _quiet(self) -> None:
        try:
            os.eventfd_read(self._news)
        except BlockingIOError:
            return


def _explain(error: Any, action: str) -> HypervisorError:
    found = translate(error, action)
    if isinstance(found, HypervisorError):
        hint = "the VM went off, or somebody took its console over"
        return HypervisorError(found.message, hint=hint, code=found.code)
    return HypervisorError(found.message, hint=found.hint)
