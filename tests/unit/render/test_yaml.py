"""The YAML emitter: whatever it writes, YAML 1.1 and 1.2 parsers read the same values."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lago_sdk.render.yaml import render_yaml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abyn-:#0 ", max_size=5), inner)
    ),
    max_leaves=8,
)


def parse(text: str, version: str) -> object:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return yaml.load(text)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@given(document=st.dictionaries(st.text("abcyn_-: ", max_size=6), VALUES, max_size=5))
def test_any_document_is_read_back(version, document):
    assert parse(render_yaml(document), version) == document


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize(
    "text",
    ["yes", "no", "null", "~", "1", "1e3", "0x1f", "12:30:45", "2024-01-01", "<<", "=", "", " a ",
     "a: b", "- a", "# a", "{a}", "[a]", "|", ">", "%", "@a", "&a", "*a", "!a", "é", "\u2028\x85",
     "\ufeff", "\U0001f600", "a\nb\n", "\\n", 'say "hi"', "\x00\x1b\x7f"],
)  # fmt: skip
def test_texts_stay_texts(version, text):
    assert parse(render_yaml({"key": text, "list": [text]}), version) == {
        "key": text,
        "list": [text],
    }


def test_the_form_is_one_line_a_scalar():
    document = {"a": {"b": [1, {"c": "x\ny", "d": []}, [True]]}, "none": None, "e": {}}
    assert render_yaml(document) == (
        'a:\n  b:\n    - 1\n    - c: "x\\ny"\n      d: []\n    - - true\nnone: null\ne: {}\n'
    )


def test_nothing_is_an_empty_map():
    assert render_yaml({}) == "{}\n"


def test_numbers_without_a_value():
    read = parse(render_yaml({"a": math.nan, "b": math.inf, "c": -math.inf}), "1.2")
    assert math.isnan(read["a"])
    assert (read["b"], read["c"]) == (math.inf, -math.inf)


def test_dates_become_texts():
    assert render_yaml({"a": dt.date(2032, 9, 1)}) == 'a: "2032-09-01"\n'


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
def test_other_kinds_are_refused(value):
    with pytest.raises(TypeError, match="cannot be written"):
        render_yaml({"a": value})
