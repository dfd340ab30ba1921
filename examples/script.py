"""A lab from Python: bring it up, drive it, leave nothing behind.

Run it as ``python examples/script.py``.
"""

from pathlib import Path

from lago_sdk import Prefix

INIT_FILE = Path(__file__).parent / "two-vms" / "LagoInitFile"


def main() -> None:
    with Prefix.create(INIT_FILE, workdir="script-lab", ephemeral=True) as prefix:
        report = prefix.start()
        print(f"up after {report.seconds:.1f} s: {', '.join(report.started)}")

        for vm in prefix.vms.values():
            kernel = vm.ssh(["uname", "-r"]).check().out.strip()
            print(f"{vm.name} ({vm.ip}) runs Linux {kernel}")

        # A list is quoted for the guest's shell, a string is given to it as it is.
        prefix.vms["web"].ssh("echo 'hello from web' > /tmp/greeting").check()
        print(prefix.vms["web"].ssh(["cat", "/tmp/greeting"]).check().out.strip())

        # What is not checked is simply looked at.
        ping = prefix.vms["db"].ssh(["ping", "-c", "1", "web"], timeout=30)
        print(f"db reaches web: {'yes' if ping.code == 0 else ping.err}")
    # The end of the block has destroyed the prefix: no VM, no net, no file is left.


if __name__ == "__main__":
    main()
