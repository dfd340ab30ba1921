"""The arrows between the rooms of the house that must never be.

Reads the imports of every module under ``src``, and fails for an arrow that no rule allows, for
a third-party library outside its home, and for a room (module or folder) without a rule.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import lago_sdk

SRC = Path(__file__).parents[2] / "src"

BASE = {"errors", "events", "results", "state", "mapping"}
"""What every room may use."""
WORDS = BASE | {"spec", "plan", "ports"}
"""The vocabulary that services and adapters share."""

ALLOWED: dict[str, set[str]] = {
    "errors": {"spec"},
    "events": BASE,
    "results": BASE,
    "state": set(),
    "mapping": BASE,
    "config": BASE | {"adapters"},
    "spec": BASE | {"codec"},
    "alloc": BASE | {"spec", "plan"},
    "plan": BASE | {"spec", "alloc"},
    "render": BASE | {"spec", "plan", "alloc"},
    "codec": BASE | {"spec", "plan", "alloc"},
    "ports": BASE | {"spec", "plan"},
    "service": WORDS | {"codec", "alloc", "render", "config"},
    "adapters": WORDS | {"config", "render"},
    "templates": WORDS | {"adapters", "config", "codec"},
    "connect": WORDS | {"config", "service", "adapters", "templates"},
    "prefix": WORDS | {"config", "service", "connect", "codec", "vm", "net", "workdir"},
    "handles": WORDS | {"service"},
    "vm": WORDS | {"service", "prefix", "handles"},
    "net": WORDS | {"service", "prefix", "handles"},
    "workdir": WORDS | {"config", "service", "connect", "prefix"},
    "verbs": WORDS | {"config", "service", "connect", "templates", "codec", "alloc"},
    "proxy": set(),
    "notebook": WORDS | {"prefix", "vm", "net", "service", "handles"},
    "testing": WORDS | {"config", "prefix", "vm", "net", "workdir", "service", "codec", "render"},
}
"""Room of lago_sdk -> rooms it may import from, besides itself."""

ONLY = {("spec", "codec"): "lago_sdk/spec/prefix.py"}
"""Arrows that one module alone may draw, and only inside functions."""

LATE = (
    ("lago_sdk/spec/prefix.py", "lago_sdk/codec/__init__.py"),
    ("lago_sdk/workdir.py", "lago_sdk/prefix/__init__.py"),
)
"""Imports inside functions that close a circle: names that users find in either place."""

TYPES_ONLY = {
    ("errors", "spec"),
    ("verbs", "adapters"),
    ("prefix", "adapters"),
    ("prefix", "render"),
    ("vm", "prefix"),
    ("net", "prefix"),
}
"""Arrows that exist for annotations and are never followed when the program runs."""

PURE = {"spec", "alloc", "plan", "render"}
IMPURE = {
    "asyncio", "concurrent", "fcntl", "glob", "io", "multiprocessing", "os", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "http",
}  # fmt: skip
PURE_NAMES = {("os", "PathLike")}
"""Types that live in an impure module and do nothing."""

HOMES = {
    "attrs": ("lago_sdk/",),
    "libvirt": ("lago_sdk/adapters/libvirt/",),
    "libvirt_qemu": ("lago_sdk/adapters/libvirt/",),
    "paramiko": ("lago_sdk/adapters/ssh/",),
    "ruamel": ("lago_sdk/codec/",),
    "cattrs": ("lago_sdk/codec/",),
    "cryptography": ("lago_sdk/adapters/keys.py", "lago_sdk/adapters/ssh/"),
    "pycdlib": ("lago_sdk/adapters/seed_iso.py",),
    "httpx": ("lago_sdk/adapters/http.py", "lago_sdk/adapters/http_client.py"),
    "filelock": ("lago_sdk/adapters/", "lago_sdk/templates/store.py"),
    "platformdirs": ("lago_sdk/config/", "lago_sdk/adapters/settings.py"),
    "typer": ("lago_cli/",),
    "click": ("lago_cli/",),
    "rich": ("lago_cli/",),
    "pytest": ("lago_sdk/testing/",),
    # The one place that starts programs; a host's supervisor is a program of its own.
    "subprocess": ("lago_sdk/adapters/process.py", "lago_sdk/adapters/hosts/"),
}
"""Third-party library (or guarded module) -> where it may be imported."""

HEAVY = {
    "libvirt", "libvirt_qemu", "paramiko", "ruamel", "cattrs", "cryptography", "pycdlib",
    "filelock", "httpx",
}  # fmt: skip
LAZY_ROOMS = ("lago_sdk/adapters/libvirt/", "lago_sdk/adapters/ssh/")
"""Rooms that others import inside functions only, so that they may import at their top."""

ENVIRONMENT = {
    "lago_sdk/config/": "reads settings",
    "lago_sdk/adapters/settings.py": "reads settings",
    "lago_sdk/connect.py": "hands the variables to those who expand paths",
    "lago_sdk/templates/debian.py": "passes it on to a program",
    "lago_sdk/templates/ext4.py": "passes it on to a program",
    "lago_sdk/templates/mmdebstrap.py": "passes it on to a program",
    "lago_sdk/adapters/hosts/": "passes it on to a program",
    "lago_sdk/adapters/offline/": "passes it on to a program",
    "lago_sdk/adapters/ssh/interactive.py": "asks which terminal is attached",
}
"""Who may look at the environment inside a function; nobody may at import."""

PLUGINS = "lago_sdk/adapters/plugins.py"
"""The one module that looks at what other packages declare."""

PROGRAMS = ("lago_sdk/adapters/hosts/supervisor.py", "lago_sdk/proxy.py")
"""Run as programs of their own: they have an argv and an exit code."""


@attrs.frozen
class Import:
    """One import statement's target."""

    module: str
    name: str | None
    line: int
    top: bool
    """Done when the module is imported."""
    types_only: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str:
        parts = [*self.module.split("."), self.name or ""]
        return parts[1]


@attrs.frozen
class Module:
    """A source file, by its path below ``src``."""

    path: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.split("/")[1].removesuffix(".py")

    def imports(self) -> Iterator[Import]:
        yield from self._walk(self.tree, top=True, types_only=False)

    def _walk(self, node: ast.AST, *, top: bool, types_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno, top, types_only)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{self.path}:{node.lineno}: imports are absolute"
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.lineno, top, types_only)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.body:
                yield from self._walk(child, top=top, types_only=True)
            for child in node.orelse:
                yield from self._walk(child, top=top, types_only=types_only)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from self._walk(child, top=top and not inside, types_only=types_only)


def check(module: Module) -> list[str]:
    """Return what is wrong with the imports of *module*, a sentence each."""
    rules = (check_arrow, check_home, check_purity, check_laziness, check_plugins)
    problems = [
        f"{module.path}:{found.line}: {problem}"
        for found in module.imports()
        for rule in rules
        if (problem := rule(module, found))
    ]
    return problems + check_effects(module)


def check_arrow(module: Module, found: Import) -> str | None:
    if found.package == "lago_cli" and not module.path.startswith("lago_cli/"):
        return "lago_sdk never imports lago_cli"
    if found.package != "lago_sdk":
        return None
    if module.path.startswith("lago_cli/"):
        if found.module == "lago_sdk" and found.name in {None, *lago_sdk.__all__}:
            return None
        return f"lago_cli uses public names only, not {found.module}.{found.name or ''}"
    if module.path == "lago_sdk/__init__.py" or found.room == module.room:
        return None
    if found.module == "lago_sdk" and found.name in lago_sdk.__all__:
        return "inside the package a name is imported from where it lives"
    arrow = (module.room, found.room)
    if arrow in TYPES_ONLY and found.types_only:
        return None
    if arrow in TYPES_ONLY or found.room not in ALLOWED[module.room]:
        return f"{module.room} must not know {found.room}"
    only = ONLY.get(arrow)
    if only is not None and (found.top or module.path != only):
        return f"only {only} may know {found.room}, inside its functions"
    return None


def check_home(module: Module, found: Import) -> str | None:
    guarded = found.package in HOMES
    if not guarded and (
        found.package in sys.stdlib_module_names or found.package in {"lago_sdk", "lago_cli"}
    ):
        return None
    if not guarded:
        return f"{found.package} has no home: add it to the rules"
    if not module.path.startswith(HOMES[found.package]):
        return f"{found.package} belongs in {' or '.join(HOMES[found.package])}"
    return None


def check_purity(module: Module, found: Import) -> str | None:
    if module.room not in PURE or found.types_only:
        return None
    if found.package in IMPURE and (found.module, found.name) not in PURE_NAMES:
        return f"{module.room} is pure and must not import {found.package}"
    if found.package in HOMES and found.package != "attrs":
        return f"{module.room} may use attrs only, not {found.package}"
    return None


def check_laziness(module: Module, found: Import) -> str | None:
    if not found.top or found.types_only or module.path.startswith(LAZY_ROOMS):
        return None
    if found.package in HEAVY:
        return f"{found.package} is slow to import: do it inside the function that needs it"
    if SLOW & find_targets(found):
        return f"{found.module} imports slow libraries: import it inside a function"
    return None


def check_plugins(module: Module, found: Import) -> str | None:
    reads = found.module == "importlib.metadata" and found.name not in {"version", "EntryPoint"}
    if reads and module.path != PLUGINS and not found.types_only:
        return f"entry points are read in {PLUGINS} only"
    return None


def check_effects(module: Module) -> list[str]:
    """Return what *module* does at import, or below the command line, that it must not."""
    if module.path.startswith("lago_cli/") or module.path in PROGRAMS:
        return []
    deferred = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    problems = []
    for node in ast.walk(module.tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        problem = None
        if text in {"sys.argv", "sys.exit"} or (
            text in {"print", "input", "breakpoint"} and is_called(module.tree, node)
        ):
            problem = f"{text} is the command line's business"
        elif text in {"os.environ", "os.getenv", "os.environb"}:
            if id(node) not in deferred:
                problem = "reads the environment at import"
            elif not module.path.startswith(tuple(ENVIRONMENT)):
                problem = "reads the environment: take what you need as an argument"
        elif text in {"threading.Thread", "socket.socket"} and id(node) not in deferred:
            problem = f"uses {text} at import" if is_called(module.tree, node) else None
        if problem:
            problems.append(f"{module.path}:{node.lineno}: {problem}")
    return problems


def is_called(tree: ast.AST, node: ast.AST) -> bool:
    return any(isinstance(call, ast.Call) and call.func is node for call in ast.walk(tree))


def read_module(path: Path) -> Module:
    name = path.relative_to(SRC).as_posix()
    return Module(name, ast.parse(path.read_text(), filename=name))


def find_targets(found: Import) -> set[str]:
    """Paths of the modules that are run by the import *found*, as far as they are ours."""
    names = found.module.split(".")
    paths = {"/".join(names[:end]) + "/__init__.py" for end in range(1, len(names) + 1)}
    paths |= {"/".join(names) + ".py"}
    if found.name is not None:
        paths |= {"/".join([*names, found.name]) + end for end in (".py", "/__init__.py")}
    return paths


def find_slow(modules: list[Module]) -> set[str]:
    """Paths of the modules that import a heavy library when they are imported themselves."""
    tops = {
        module.path: [found for found in module.imports() if found.top and not found.types_only]
        for module in modules
    }
    slow = {path for path, top in tops.items() if any(found.package in HEAVY for found in top)}
    while True:
        more = {
            path for path, top in tops.items() if any(find_targets(found) & slow for found in top)
        }
        if more <= slow:
            return slow
        slow |= more


def list_arrows(modules: list[Module]) -> dict[str, set[str]]:
    """Path of each module -> those that it imports, also late (inside functions)."""
    paths = {module.path for module in modules}
    arrows: dict[str, set[str]] = {}
    for module in modules:
        arrows[module.path] = set()
        for found in module.imports():
            base, inner = found.module.replace(".", "/"), f"{found.module}.{found.name}"
            whole = {f"{base}.py", f"{base}/__init__.py"} & paths
            part = {f"{inner.replace('.', '/')}{end}" for end in (".py", "/__init__.py")} & paths
            if not found.types_only:
                arrows[module.path] |= (part or whole) - {module.path}
    return arrows


def find_circle(arrows: dict[str, set[str]]) -> list[str] | None:
    """Return modules that import each other in a circle, or ``None``."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return None


MODULES = [read_module(path) for path in sorted(SRC.rglob("*.py"))]
SLOW = find_slow(MODULES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)
def test_no_module_draws_a_forbidden_arrow(module):
    assert check(module) == []


def test_every_room_has_a_rule():
    rooms = {
        entry.stem
        for entry in (SRC / "lago_sdk").iterdir()
        if (entry.is_dir() and any(entry.rglob("*.py"))) or entry.suffix == ".py"
    } - {"__init__"}
    assert rooms - ALLOWED.keys() == set(), "give the new room a rule in ALLOWED"


def test_no_modules_import_each_other_in_a_circle():
    arrows = list_arrows(MODULES)
    for path, allowed in LATE:
        arrows[path].remove(allowed)  # fails where the arrow is gone: take it from the list
    assert find_circle(arrows) is None


@pytest.mark.parametrize("indent", ["", "def f():\n "])
def test_circles_are_found(indent):
    one = Module("lago_sdk/a/one.py", ast.parse("from lago_sdk.a import two"))
    two = Module("lago_sdk/a/two.py", ast.parse(f"{indent}from lago_sdk.a.one import x"))
    typed = Module("lago_sdk/a/two.py", ast.parse("if TYPE_CHECKING:\n import lago_sdk.a.one"))
    assert find_circle(list_arrows([one, two])) is not None
    assert find_circle(list_arrows([one, typed])) is None


def test_every_package_has_an_init():
    folders = {path.parent for path in SRC.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("lago_sdk/prefix.py", "import lago_cli.app", "never imports lago_cli"),
        ("lago_sdk/vm.py", "print('x')", "command line's business"),
        ("lago_sdk/vm.py", "import sys\ndef f(): sys.exit(1)", "command line's business"),
        ("lago_cli/app.py", "from lago_sdk.prefix import Prefix", "public names only"),
        ("lago_cli/app.py", "from lago_sdk import connect", "public names only"),
        ("lago_cli/app.py", "import requests", "no home"),
        ("lago_sdk/plan/x.py", "import random", "is pure"),
        ("lago_sdk/spec/x.py", "from lago_sdk.adapters import files", "must not know adapters"),
        ("lago_sdk/spec/x.py", "def f(): import lago_sdk.codec", "only lago_sdk/spec/prefix.py"),
        ("lago_sdk/spec/prefix.py", "import lago_sdk.codec", "inside its functions"),
        ("lago_sdk/service/x.py", "from lago_sdk.adapters import files", "must not know"),
        ("lago_sdk/adapters/x.py", "from lago_sdk.service import stop", "must not know"),
        ("lago_sdk/service/x.py", "def f():\n import libvirt", "belongs in"),
        ("lago_sdk/adapters/keys.py", "import cryptography.x", "slow to import"),
        ("lago_sdk/connect.py", "from lago_sdk.adapters.ssh import transport", "slow libraries"),
        ("lago_sdk/connect.py", "import lago_sdk.adapters.ssh.transport", "slow libraries"),
        ("lago_sdk/service/x.py", "import subprocess", "belongs in"),
        ("lago_sdk/config/x.py", "import os\nx = os.environ['A']", "at import"),
        ("lago_sdk/service/x.py", "import os\ndef f(): os.getenv('A')", "as an argument"),
        ("lago_sdk/vm.py", "import threading\nthreading.Thread()", "at import"),
        ("lago_sdk/errors.py", "from lago_sdk.spec.vm import VMSpec", "must not know spec"),
        ("lago_cli/app.py", "from importlib.metadata import entry_points", "are read in"),
        ("lago_sdk/connect.py", "import importlib.metadata", "are read in"),
    ],
)
def test_the_rules_see_what_they_forbid(path, source, problem):
    assert any(problem in found for found in check(Module(path, ast.parse(source))))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lago_sdk/spec/prefix.py", "def f():\n from lago_sdk.codec import load_spec"),
        ("lago_sdk/spec/x.py", "if TYPE_CHECKING:\n import os"),
        ("lago_sdk/connect.py", "def f():\n from lago_sdk.adapters.ssh import transport"),
        ("lago_sdk/adapters/ssh/x.py", "import paramiko"),
        ("lago_sdk/errors.py", "if TYPE_CHECKING:\n from lago_sdk.spec.problems import Problem"),
        ("lago_cli/app.py", "from lago_sdk import Prefix, VM\nimport typer"),
    ],
)
def test_the_rules_let_pass_what_is_right(path, source):
    assert check(Module(path, ast.parse(source))) == []
