"""The JSON Schema accepts what the reader accepts, and is made from the same models."""

import hypothesis
import jsonschema
import pytest
from test_codec_lago_files import FILES

from lago_sdk.codec import json_schema
from lago_sdk.codec.document import parse_document
from lago_sdk.codec.dump import unstructure_spec
from lago_sdk.codec.values import to_free_form
from strategies import prefix_specs

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
UNTYPED = {"prefix_skel.json"}
"""Disks without ``type`` are read, but an editor should complete it."""


def errors(text):
    value = to_free_form(parse_document(text).value)
    return [(list(error.absolute_path), error.message) for error in VALIDATOR.iter_errors(value)]


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.name)
def test_it_accepts_lagos_files(path):
    assert (errors(path.read_text()) == []) == (path.name not in UNTYPED)


@hypothesis.settings(
    max_examples=10, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(prefix_specs())
def test_it_accepts_every_spec_that_is_written(spec):
    assert [error.message for error in VALIDATOR.iter_errors(unstructure_spec(spec))] == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("domains: {}\n", []),
        ("nets: {lan: {typ: nat}}\ndomains: {}\n", ["nets", "lan"]),
        ("nets: {lan: {type: nta}}\ndomains: {}\n", ["nets", "lan"]),
        ("nets: {}\ndomains: {web: {nics: [{ip: 1.2.3.4}]}}\n", ["domains", "web"]),
        ("nets: {}\ndomains: {web: {disks: [{type: empty}]}}\n", ["domains", "web"]),
        ("nets: {}\ndomains: {web: {memory: lots}}\n", ["domains", "web"]),
    ],
)
def test_it_marks_mistakes(text, path):
    assert [found for found, _ in errors(text)] == [path]


def test_keys_of_the_users_own_pass():
    assert errors("x-base: {}\nnets: {lan: {x-note: hi}}\ndomains: {web: {x-y: 1}}\n") == []


def test_an_editor_has_something_to_show():
    memory = SCHEMA["definitions"]["domain"]["properties"]["memory"]
    assert memory["description"].startswith("Memory: a number of MiB")
    assert (memory["default"], memory["examples"]) == ("1GiB", ["2GiB"])
    kinds = SCHEMA["definitions"]["disk"]["oneOf"]
    assert [kind["properties"]["type"]["const"] for kind in kinds] == ["template", "empty", "file"]
    assert SCHEMA["definitions"]["net"]["properties"]["type"]["enum"][0] == "nat"
