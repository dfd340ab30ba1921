"""What is written is read back, whatever it says."""

import json

import hypothesis
from hypothesis import strategies as st

from lago_sdk.codec import check_text, dumps_spec, loads_spec, structure_spec
from lago_sdk.codec.dump import unstructure_spec
from lago_sdk.codec.emit import emit_yaml
from lago_sdk.codec.values import to_free_form
from lago_sdk.codec.yaml_text import compose_yaml
from lago_sdk.spec.checks import check_spec
from strategies import free_maps, prefix_specs, texts

slow = hypothesis.settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)


@slow
@hypothesis.given(prefix_specs())
def test_a_spec_comes_back_from_its_yaml(spec):
    assert [str(problem) for problem in check_spec(spec) if problem.is_error] == []
    assert loads_spec(dumps_spec(spec)) == spec


@slow
@hypothesis.given(prefix_specs())
def test_a_spec_comes_back_from_json_and_from_a_plain_mapping(spec):
    mapping = unstructure_spec(spec)
    assert structure_spec(mapping) == spec
    assert loads_spec(json.dumps(mapping, indent="\t")) == spec
    assert structure_spec(spec) is spec


@slow
@hypothesis.given(prefix_specs())
def test_writing_is_stable(spec):
    text = dumps_spec(spec)
    assert dumps_spec(loads_spec(text)) == text


@hypothesis.given(free_maps())
def test_free_form_values_come_back_from_yaml(value):
    assert to_free_form(compose_yaml(emit_yaml({"x": value})).value) == {"x": value}


@hypothesis.given(st.lists(texts))
def test_any_text_comes_back_from_yaml(items):
    assert to_free_form(compose_yaml(emit_yaml({"x": items})).value) == {"x": items}


@hypothesis.given(st.text())
def test_no_text_makes_the_reader_fail(text):
    spec, problems = check_text(text)
    assert spec is None
    assert any(problem.is_error for problem in problems)
    assert all(problem.line for problem in problems)
