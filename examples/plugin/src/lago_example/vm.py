"""A VM type: what `prefix.vms[...]` gives for `vm-type: measured`."""

from lago_sdk import VM


class MeasuredVM(VM):
    """A VM that tells how it feels."""

    @property
    def uptime(self) -> float:
        """Seconds since the guest's kernel started (proc(5))."""
        return float(self.ssh("cat /proc/uptime").check().out.split()[0])

    @property
    def free_memory(self) -> int:
        """Memory that new programs could have, in KiB (proc(5))."""
        lines = self.ssh("cat /proc/meminfo").check().out.splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return int(facts["MemAvailable"].split()[0])
