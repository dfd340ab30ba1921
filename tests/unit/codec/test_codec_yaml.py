"""YAML and JSON to plain values, and the places of things."""

import pytest

from lago_sdk.codec.document import parse_document
from lago_sdk.codec.expand import expand
from lago_sdk.codec.values import to_free_form


def read(text):
    document = parse_document(text)
    assert document.problems == ()
    return to_free_form(document.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("0755", "0755"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"yes"', "yes"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("! 12", "12"),
    ],
)
def test_free_form_scalars(text, value):
    assert read(f"a: {text}\n") == {"a": value}


def test_a_number_of_absurd_length_is_text():
    assert read(f"a: {'9' * 5000}\n") == {"a": "9" * 5000}
    assert read(f'{{"a": {"9" * 5000}}}') == {"a": "9" * 5000}


def test_keys_are_text_whatever_they_look_like():
    assert read("on: 1\n12: 2\n~: 3\n") == {"on": 1, "12": 2, "~": 3}


def test_merge_keys_give_what_is_missing_and_the_first_map_wins():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 0\n"
    assert read(text)["c"] == {"x": 0, "y": 1, "z": 2}


def test_a_merge_key_in_quotes_is_a_key():
    assert read('a: {"<<": 1}\n') == {"a": {"<<": 1}}
    assert read('{"<<": {"a": 1}}') == {"<<": {"a": 1}}


def test_json_is_read_as_json():
    assert read('{"a": [1, 1.10, true, null, "\\ud83d\\ude00", "yes"]}') == {
        "a": [1, 1.1, True, None, "😀", "yes"]
    }


def test_the_numbers_that_only_python_writes_in_json_are_numbers():
    assert read('{"a": [Infinity, -Infinity]}') == {"a": [float("inf"), float("-inf")]}


def test_what_is_almost_json_is_read_as_yaml():
    assert read("{'a': [1, yes,], # why not\n 'b': x}") == {"a": [1, True], "b": "x"}


@pytest.mark.parametrize("text", ['{\n\t"a": {\n\t\t"b": [1,\t2]}}', "a:\n  b: [1, 2]\n"])
def test_places(text):
    document = parse_document(text)
    lines = text.split("\n")
    mark = document.locate(("a", "b", 1))
    assert lines[mark.line - 1][mark.column - 1] == "2"
    mark = document.locate(("a", "b"))
    assert lines[mark.line - 1][mark.column - 1 :].strip('"').startswith("b")


def test_what_is_not_there_is_shown_at_what_is_around_it():
    document = parse_document("a:\n  b: {c: 1}\n")
    assert document.locate(("a", "b", "x", 3)) == document.locate(("a", "b"))
    assert (document.locate(("z",)).line, document.locate(("z",)).column) == (1, 1)


def test_what_a_merge_brought_is_shown_where_it_is_written():
    document = parse_document("a: &a\n  x: 1\nb:\n  <<: *a\n")
    assert document.locate(("b", "x")).line == 2


def test_json_that_yaml_cannot_read_has_problems_without_places():
    assert parse_document('{"a": "\\ud83d\\ude00", "b": 1}').locate(("b",)) is None


def test_variables_and_home_are_expanded_without_a_shell():
    environ = {"A": "x", "HOME": "/home/me"}
    assert expand("~/$A/${A}b/$AB/${NO}/$(id)", environ) == "/home/me/x/xb/$AB/${NO}/$(id)"
    assert expand("a~/$A", environ) == "a~/x"
    assert expand("~/x", {}) == "~/x"
