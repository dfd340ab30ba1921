"""Options of build steps as arguments: Lago's rules."""

import pytest

from lago_sdk.errors import LagoError
from lago_sdk.render.virt_customize import render_options

KEY = "/prefix/id.pub"


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, ()),
        ({"update": ""}, ("--update",)),
        ({"update": None, "v": []}, ("--update", "-v")),
        ({"m": 512}, ("-m", "512")),
        ({"install": ["a", "b"]}, ("--install", "a", "--install", "b")),
        ({"selinux-relabel": True, "no-network": False}, ("--selinux-relabel",)),
        ({"run-command": "echo $HOME 'x'"}, ("--run-command", "echo $HOME 'x'")),
        ({"ssh-inject": ""}, ("--ssh-inject", f"root:file:{KEY}")),
        ({"ssh-inject": "ann:file:/k"}, ("--ssh-inject", "ann:file:/k")),
    ],
)
def test_options_become_arguments_in_order(options, arguments):
    assert render_options(options, public_key=KEY) == arguments


@pytest.mark.parametrize("options", [{"upload": {"a": "b"}}, {"": "x"}, {"--update": ""}])
def test_options_that_make_no_sense(options):
    with pytest.raises(LagoError, match="virt-customize"):
        render_options(options, public_key=KEY)
