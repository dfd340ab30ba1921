"""Paths of the init file: variables, relative names, and what is missing."""

import pytest

from lago_sdk.errors import SpecError
from lago_sdk.service.making.paths import find_path, settle_paths
from lago_sdk.spec import (
    BuildStep,
    EmptyDisk,
    FileDisk,
    PrefixSpec,
    TemplateDisk,
    TemplateType,
    VMSpec,
)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The init file's directory, and where we run."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    beside.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    return beside, here


def settle(vm, beside, **variables):
    spec = PrefixSpec(vms=(vm,), init_dir=str(beside))
    return settle_paths(spec, variables).vms[0]


def test_a_relative_path_is_beside_the_init_file_first(places):
    beside, here = places
    (here / "x").touch()
    assert find_path("x", init_dir=str(beside), variables={}) == here / "x"
    (beside / "x").touch()
    assert find_path("x", init_dir=str(beside), variables={}) == beside / "x"
    assert find_path("none", init_dir=str(beside), variables={}) == beside / "none"


def test_variables_and_dots_are_resolved(places):
    beside, _ = places
    found = find_path("$A/./b/../c", init_dir=str(beside), variables={"A": "/top"})
    assert str(found) == "/top/c"


def test_disks_have_absolute_paths(places):
    beside, _ = places
    (beside / "i").touch()
    qcow2 = TemplateDisk(template_type=TemplateType.QCOW2, path="i")
    disks = (qcow2, FileDisk(path="i"), FileDisk(url="$U/x", path="to/x"), EmptyDisk(size=1))
    found = settle(VMSpec(name="a", disks=disks), beside, U="http://h").disks
    assert [getattr(disk, "path", None) for disk in found] == [
        str(beside / "i"),
        str(beside / "i"),
        str(beside / "to" / "x"),
        None,
    ]
    assert found[2].url == "http://h/x"


def test_build_options_know_our_variables_only(places):
    beside, _ = places
    step = BuildStep(builder="b", options={"run": ["$HOME", "$LAGO_PREFIX_PATH/x"], "n": 1})
    vm = VMSpec(name="a", disks=(EmptyDisk(size=1, build=(step,)),))
    found = settle(vm, beside, HOME="/root", LAGO_PREFIX_PATH="/p").disks[0].build[0]
    assert found.options == {"run": ["$HOME", "/p/x"], "n": 1}


def test_all_that_is_missing_is_told_with_its_place(places):
    beside, _ = places
    vm = VMSpec(name="a", kernel="k", deploy_scripts=("$X/s",), disks=(FileDisk(path="d"),))
    with pytest.raises(SpecError) as caught:
        settle(vm, beside)
    assert [problem.path for problem in caught.value.problems] == [
        ("domains", "a", "kernel"),
        ("domains", "a", "disks", 0, "path"),
        ("domains", "a", "metadata", "deploy-scripts", 0),
    ]
    assert "$X/s" in str(caught.value)
