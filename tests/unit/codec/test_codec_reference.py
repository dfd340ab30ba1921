"""The reference page says what the models say."""

from pathlib import Path

import attrs
import pytest

from lago_sdk.codec.reference import render_reference
from lago_sdk.spec import EmptyDisk, FileDisk, NetSpec, NicSpec, ShareSpec, TemplateDisk, VMSpec
from lago_sdk.spec.keys import find_key

PAGE = Path(__file__).parents[3] / "docs" / "init-file.md"


def test_the_page_is_up_to_date():
    told = "run 'python -m lago_sdk.codec.reference'"
    assert PAGE.read_text(encoding="utf-8") == render_reference(), told


@pytest.mark.parametrize(
    "cls", [VMSpec, NicSpec, NetSpec, ShareSpec, TemplateDisk, EmptyDisk, FileDisk]
)
def test_every_key_is_on_the_page(cls):
    page = render_reference()
    keys = [key for field in attrs.fields(cls) if (key := find_key(field))]
    assert [key.name for key in keys if f"| `{key.name}` |" not in page] == []
