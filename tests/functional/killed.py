"""A process that changes a lab and is killed at a point of its work."""

import json
import signal
import subprocess
import sys

DRIVER = """
import json, os, signal, sys
from importlib import import_module
from lago_sdk import Prefix

point, path, verb, arguments, options = sys.argv[1:]
end, module, place = point.split(" ")
owner = import_module("lago_sdk." + module)
*parents, last = place.split(".")
for parent in parents:
    owner = getattr(owner, parent)
real = getattr(owner, last)

def die(*arguments, **options):
    if end == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, last, die)
prefix = Prefix.open_path(path) if path else Prefix
getattr(prefix, verb)(*json.loads(arguments), **json.loads(options))
sys.exit("the point was never reached")
"""


def die_at(point, lab, verb, *arguments, **options):
    """Have a process do *verb* to *lab*, or to make one where it is ``None``, and die at *point*.

    The point is a word, ``before`` or ``after``, a module of lago_sdk and a function in it.
    """
    path = "" if lab is None else str(lab.path)
    words = [point, path, verb, json.dumps(arguments, default=str)]
    command = [sys.executable, "-c", DRIVER, *words, json.dumps(options, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
