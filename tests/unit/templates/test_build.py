"""Building into the store, with a recipe that is quick."""

from __future__ import annotations

import attrs
import pytest

from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import StageFailed, StageFinished, stage
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates import build
from lago_sdk.templates.recipes import get_recipe
from lago_sdk.templates.recipes.model import Built
from lago_sdk.templates.store import TemplateStore


@attrs.define
class Quick:
    """A recipe whose image holds what it is told."""

    content: bytes = b"one"
    version: str = "1"
    name: str = "quick"
    fails: bool = False
    builds: int = 0

    def build(self, directory, observer):
        with stage(observer, "make the image", self.name):
            self.builds += 1
            path = directory / "disk"
            path.write_bytes(self.content)
            if self.fails:
                raise TemplateError("no")
        return Built(path=path, size=3, format=DiskFormat.RAW, metadata={"a": self.builds})


@pytest.fixture
def recipe(monkeypatch):
    quick = Quick()
    monkeypatch.setattr(build, "get_recipe", lambda name: quick)
    return quick


@pytest.fixture
def store(tmp_path):
    return TemplateStore(tmp_path / "store")


def test_it_is_built_once(recipe, store):
    first = build.build_template("quick", store=store)
    assert build.build_template("quick", store=store) == first == store.get_template("quick")
    assert recipe.builds == 1
    assert first.version.startswith("1-")
    assert first.image.metadata == {"a": 1, "recipe-version": "1"}


def test_a_new_recipe_is_built_beside_the_old(recipe, store):
    old = build.build_template("quick", store=store)
    recipe.version, recipe.content = "2", b"two"
    new = build.build_template("quick", store=store)
    assert {template.version for template in store.list()} == {old.version, new.version}
    assert store.get_template("quick") == new


def test_force_builds_again_and_the_same_image_is_the_same_version(recipe, store):
    first = build.build_template("quick", store=store)
    assert build.build_template("quick", store=store, force=True) == first
    assert recipe.builds == 2
    recipe.content = b"new"
    assert build.build_template("quick", store=store, force=True).version != first.version


def test_stages_are_told(recipe, store):
    events = []
    build.build_template("quick", store=store, observer=events.append)
    ended = [event.stage for event in events if isinstance(event, StageFinished)]
    assert ended == ["make the image", "add to the store"]


def test_a_failure_leaves_nothing(recipe, store):
    recipe.fails = True
    events = []
    with pytest.raises(TemplateError, match="no"):
        build.build_template("quick", store=store, observer=events.append)
    assert isinstance(events[-1], StageFailed)
    assert store.list() == ()
    assert list((store.path / ".tmp").iterdir()) == []


def test_an_unknown_recipe_hints_at_those_there_are():
    with pytest.raises(TemplateNotFoundError) as caught:
        get_recipe("tinny")
    assert caught.value.hint == "did you mean 'tiny'?"
