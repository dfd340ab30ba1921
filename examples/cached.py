"""A lab that boots when it is brought up for the first time, and comes from the cache later.

Run it twice: ``python examples/cached.py``. Change anything of the lab, and it boots again.
"""

import tempfile
from pathlib import Path

from lago_sdk import Prefix

INIT_FILE = Path(__file__).parent / "two-vms" / "LagoInitFile"

with (
    tempfile.TemporaryDirectory() as workdir,
    Prefix.create(INIT_FILE, workdir=workdir, cache=True) as prefix,
):
    report = prefix.start()  # deploy scripts included
    print(f"{report.checkpoint.stage.value} after {report.seconds:.1f} s")
    for vm in prefix.vms.values():
        print(vm.name, vm.ip, vm.ssh("uptime").check().out.strip())
