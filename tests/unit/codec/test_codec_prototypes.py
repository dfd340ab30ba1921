"""What domains take over from prototypes."""

import pytest

from lago_sdk.codec import check_text, loads_spec, structure_spec
from lago_sdk.errors import SpecError

HEAD = "nets: {lan: {}}\n"


def vm(text, name="web"):
    return loads_spec(HEAD + text).get_vm(name)


def test_missing_keys_are_taken_over_and_own_keys_stay():
    web = vm(
        "prototypes: {base: {memory: 512, vcpu: 4}}\ndomains: {web: {based-on: base, vcpu: 1}}\n"
    )
    assert (web.memory, web.vcpu) == (512, 1)


def test_only_top_level_keys_are_taken_over():
    web = vm(
        "prototypes: {base: {metadata: {a: 1, b: 2}}}\n"
        "domains: {web: {based-on: base, metadata: {a: 0}}}\n"
    )
    assert web.metadata == {"a": 0}


def test_the_first_of_several_wins():
    web = vm(
        "prototypes: {a: {memory: 512}, b: {memory: 256, vcpu: 4}}\n"
        "domains: {web: {based-on: [a, b]}}\n"
    )
    assert (web.memory, web.vcpu) == (512, 4)


def test_prototypes_may_be_based_on_others_in_any_order():
    web = vm(
        "prototypes: {a: {based-on: b, vcpu: 1}, b: {based-on: [c]}, c: {memory: 256, vcpu: 9}}\n"
        "domains: {web: {based-on: a}}\n"
    )
    assert (web.memory, web.vcpu) == (256, 1)


def test_a_map_may_stand_in_place_of_a_name():
    web = vm(
        "base: &base {memory: 512}\n"
        "domains: {web: {based-on: *base}, db: {based-on: [{vcpu: 3, based-on: {memory: 1}}]}}\n"
    )
    assert web.memory == 512


def test_deploy_scripts_and_ova_come_along():
    web = vm(
        "prototypes: {base: {type: ova, url: x.ova, metadata: {deploy-scripts: [a.sh]}}}\n"
        "domains: {web: {based-on: base}}\n"
    )
    assert (web.ova, web.deploy_scripts) == ("x.ova", ("a.sh",))


def test_a_mistake_in_a_prototype_is_shown_there_and_once():
    text = (
        HEAD + "domains: {a: {based-on: mid}, b: {based-on: mid}}\n"
        "prototypes:\n  mid: {based-on: base}\n  base:\n    memory: lots\n"
    )
    (problem,) = (problem for problem in check_text(text)[1] if problem.is_error)
    assert (problem.line, problem.column, problem.path) == (6, 13, ("domains", "a", "memory"))


def test_a_mistake_in_a_map_in_place_is_shown_there():
    text = HEAD + "domains:\n  a:\n    based-on:\n      vcpu: x\n"
    (problem,) = (problem for problem in check_text(text)[1] if problem.is_error)
    assert (problem.line, problem.column) == (5, 13)


@pytest.mark.parametrize(
    "prototypes", ["{a: {based-on: a}}", "{a: {based-on: [b]}, b: {based-on: {based-on: a}}}"]
)
def test_circles_are_told_once(prototypes):
    text = f"{HEAD}prototypes: {prototypes}\ndomains: {{web: {{based-on: a}}}}\n"
    codes = [problem.code for problem in check_text(text)[1] if problem.is_error]
    assert codes == ["prototype-cycle"]


def test_long_chains_are_refused():
    links = "".join(f"  p{n}: {{based-on: p{n + 1}}}\n" for n in range(1500))
    text = f"{HEAD}prototypes:\n{links}  p1500: {{}}\ndomains: {{}}\n"
    codes = {problem.code for problem in check_text(text)[1]}
    assert codes == {"too-deep"}


def test_a_map_based_on_itself_is_refused():
    base = {}
    base["based-on"] = base
    with pytest.raises(SpecError, match="more than 100 levels deep"):
        structure_spec({"nets": {"lan": {}}, "domains": {"web": base}})


@pytest.mark.parametrize(
    "text",
    [
        "prototypes: [a]\ndomains: {}\n",
        "prototypes: {a: 1}\ndomains: {}\n",
        "domains: {web: {based-on: 1}}\nprototypes: {}\n",
    ],
)
def test_prototypes_of_the_wrong_type_are_told(text):
    codes = {problem.code for problem in check_text(HEAD + text)[1] if problem.is_error}
    assert codes <= {"wrong-type", "unknown-prototype"}
    assert codes
