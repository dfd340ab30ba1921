"""What can be seen of a VM from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.vm.base import VMBase

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from lago_sdk.service.observing.usage import VMUsage
    from lago_sdk.service.seeing.capture import Capture, Target
    from lago_sdk.service.seeing.displays import Graphics
    from lago_sdk.service.seeing.forward import Address
    from lago_sdk.service.seeing.screens import Screenshot


class VMSeeing(VMBase):
    """Screens, displays, ports, counters and packets."""

    def screenshot(self, path: str | os.PathLike[str] | None = None) -> Screenshot:
        """Take a picture of its display, as PNG; the guest does not notice.

        Args:
            path: File to write it to as well.

        Returns:
            The picture; a notebook shows it.

        Raises:
            VMError: It has no display (``video: none``).
            VMNotRunningError: It is off.
            LagoError: The file cannot be written.
        """
        from lago_sdk.service.seeing.screens import take_screenshot

        return take_screenshot(self._plan, self._prefix.context, path)

    @property
    def graphics(self) -> Graphics:
        """Where its display is served by VNC or SPICE (``graphics`` in the init file).

        The address is one of the prefix's networks; `open_display` makes it reachable from here.

        Raises:
            VMError: It has no such server.
            VMNotRunningError: It is off.
        """
        from lago_sdk.service.seeing.displays import find_graphics

        return find_graphics(self._plan, self._prefix.context)

    def open_display(self, *, local_port: int = 0) -> AbstractContextManager[Graphics]:
        """Have its display server reachable from this machine for the block.

        On a private host a port of our loopback is forwarded to it, elsewhere nothing is needed.

        Args:
            local_port: The port of ours; a free one for 0.

        Raises:
            VMError: It has no display server.
            VMNotRunningError: It is off.
            HostError: Its host is another machine, or the port is taken.
        """
        from lago_sdk.service.seeing.displays import open_display

        return open_display(self._plan, self._prefix.context, local_port=local_port)

    def view(self) -> None:
        """Show its display in a window of ``remote-viewer``; returns when that is closed.

        Raises:
            VMError: It has no display server.
            VMNotRunningError: It is off.
            MissingToolError: remote-viewer is not installed.
        """
        from lago_sdk.service.seeing.displays import view_display

        view_display(self._plan, self._prefix.context)

    def forward(
        self, port: int, local_port: int = 0, *, address: str | None = None
    ) -> AbstractContextManager[Address]:
        """Forward a port of our loopback to a TCP port of the guest for the block.

        ::

            with vm.forward(80) as address:
                webbrowser.open(f"http://{address}/")

        Args:
            port: The guest's port; it need not be open yet.
            local_port: The port of ours, on 127.0.0.1; a free one for 0.
            address: Where in the prefix's networks to connect to; its `ip` when ``None``.

        Raises:
            VMError: It has no address.
            HostError: The port of ours is taken.
        """
        from lago_sdk.service.seeing.forward import forward

        return forward(
            self._plan, self._prefix.context, port, local_port=local_port, address=address
        )

    @property
    def usage(self) -> VMUsage:
        """What it has used since it was started: processor, memory, disks, nics.

        Raises:
            VMError: Somebody else runs it.
            HostError: libvirtd does not answer.
        """
        from lago_sdk.service.observing.usage import get_usage

        return get_usage(self._plan, self._prefix.context)

    def capture(
        self,
        path: Target,
        *,
        nic: int = 0,
        filter: str | Sequence[str] | None = None,  # noqa: A002 - the word of all such tools
        count: int | None = None,
        duration: float | None = None,
        snaplen: int = 262_144,
    ) -> Capture:
        """Begin to capture what one of its nics sends and receives, into a pcap file.

        Args:
            path: As for `lago_sdk.Net.capture`, like all but *nic*.
            nic: The ``N`` of ``eth<N>``.
            filter: In the language of pcap-filter(7).
            count: End after so many packets.
            duration: End after so many seconds.
            snaplen: Bytes of a packet that are kept at most.

        Raises:
            VMNotRunningError: It is off.
            VMError: It has no such nic.
            CaptureError: As for `lago_sdk.Net.capture`.
            MissingToolError: There is a filter, and no tcpdump.
        """
        from lago_sdk.service.seeing.capture import CaptureLimits, capture_nic, get_nic

        limits = CaptureLimits(count=count, duration=duration)
        return capture_nic(
            self._plan,
            get_nic(self._plan, nic),
            self._prefix.context,
            path,
            words=filter,
            limits=limits,
            snaplen=snaplen,
        )
