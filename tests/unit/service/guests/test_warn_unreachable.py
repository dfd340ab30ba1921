"""At creation it is told what the host's QEMU will not be able to reach."""

from pathlib import Path

import attrs
from fake_labs import make_lab

from lago_sdk.config import Config
from lago_sdk.ports import Barrier
from lago_sdk.testing import make_world


def make_closed_lab(tmp_path, is_closed, **settings):
    """A lab on a host whose QEMU is kept from the paths for which *is_closed* holds."""
    world = attrs.evolve(
        make_world(config=Config(**settings)),
        find_barrier=lambda path: Barrier(path=tmp_path, user="qemu") if is_closed(path) else None,
    )
    prefix, _ = make_lab(tmp_path, world=world)
    return prefix, world.log.warnings


def test_nothing_is_said_where_all_is_open(tmp_path):
    _, warnings = make_closed_lab(tmp_path, lambda path: False)
    assert warnings == ()


def test_a_barrier_is_told_once_with_what_to_do(tmp_path):
    prefix, (warning,) = make_closed_lab(tmp_path, lambda path: path.is_relative_to(tmp_path))
    assert f"cannot reach {prefix.path / 'images'}" in warning
    assert "workdir" in warning
    assert f"setfacl -m u:qemu:x {tmp_path}" in warning


def test_for_a_template_the_remedy_is_the_setting(tmp_path):
    asked = []

    def is_closed(path):
        asked.append(path)
        return path.name != "images"

    _, (warning,) = make_closed_lab(tmp_path, is_closed, template_store=Path("/"))
    assert "template_store" in warning
    assert len(asked) == len(set(asked))
