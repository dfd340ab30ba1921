"""The public names: they exist, are documented and typed, and are cheap to import."""

import importlib.resources
import inspect
import json
import subprocess
import sys
import types
import typing

import pytest

import lago_sdk

HEAVY = ("cattrs", "cryptography", "libvirt", "paramiko", "pycdlib", "rich", "ruamel", "typer")


def public_callables(name):
    """The public name itself and the public methods and properties of a class."""
    value = getattr(lago_sdk, name)
    yield name, value
    if not inspect.isclass(value):
        return
    for attribute, member in vars(value).items():
        if not attribute.startswith("_"):
            yield f"{name}.{attribute}", member


def unwrap(member):
    """The function behind a method, class method, property or plain function, or ``None``."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    return member if isinstance(member, types.FunctionType) else None


def test_all_is_sorted_out():
    assert len(set(lago_sdk.__all__)) == len(lago_sdk.__all__)
    assert dir(lago_sdk) == sorted(lago_sdk.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Prefx'"):
        lago_sdk.Prefx  # noqa: B018 - looking is the test


@pytest.mark.parametrize("name", lago_sdk.__all__)
def test_a_public_name_is_documented(name):
    value = getattr(lago_sdk, name)
    if name == "Event":  # a union of classes that are documented each
        assert isinstance(value, types.UnionType)
        return
    undocumented = [
        path
        for path, member in public_callables(name)
        if (path == name or unwrap(member)) and not (getattr(member, "__doc__", None) or "").strip()
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", lago_sdk.__all__)
def test_a_public_name_is_typed(name):
    untyped = []
    for path, member in public_callables(name):
        function = unwrap(member)
        if function is None or not function.__module__.startswith("lago_sdk"):
            continue
        signature = inspect.signature(function)
        parameters = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.name not in {"self", "cls"}
        ]
        if signature.return_annotation is inspect.Signature.empty or any(
            parameter.annotation is inspect.Parameter.empty for parameter in parameters
        ):
            untyped.append(path)
    assert untyped == []


def test_what_static_tools_see_is_what_is_imported():
    """The names of the ``TYPE_CHECKING`` block and of ``__all__`` are the same."""
    source = importlib.resources.files("lago_sdk").joinpath("__init__.py").read_text()
    block = source.split("if TYPE_CHECKING:\n")[1].split("\n\n")[0]
    namespace: dict[str, object] = {}
    exec(inspect.cleandoc(block), namespace)
    assert namespace.keys() - {"__builtins__"} == set(lago_sdk.__all__)
    for name in lago_sdk.__all__:
        assert namespace[name] is getattr(lago_sdk, name)


def test_the_package_says_that_it_is_typed():
    assert importlib.resources.files("lago_sdk").joinpath("py.typed").is_file()
    assert typing.get_type_hints(lago_sdk.__getattr__)["return"] is object


def list_loaded(statement):
    program = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "statement", ["from lago_sdk import Prefix", "from lago_sdk import PrefixSpec, VM, LagoError"]
)
def test_importing_waits_for_no_heavy_library(statement):
    loaded = {module.partition(".")[0] for module in list_loaded(statement)}
    assert loaded & set(HEAVY) == set()


def test_a_prefix_is_imported_without_what_its_verbs_need():
    loaded = list_loaded("from lago_sdk import Prefix")
    rooms = {module.split(".")[1] for module in loaded if module.startswith("lago_sdk.")}
    # A hundred small classes take longer than a library.
    assert rooms & {"adapters", "codec", "connect", "plan", "ports", "render", "spec"} == set()
