"""The pages about the command line and its settings tell what the program does."""

from pathlib import Path

from lago_cli.app import _FAMILIES, _load_family
from lago_cli.options import PARAMETERS
from lago_sdk.config import list_settings

DOCS = Path(__file__).parents[3] / "docs"


def test_every_setting_is_on_the_page_with_its_meaning():
    text = (DOCS / "configuration.md").read_text()
    for name, setting in list_settings().items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert setting.doc in row
        for alias in setting.aliases:
            assert f"`{alias}`" in row


def test_every_verb_is_on_the_page_with_its_summary():
    text = (DOCS / "command-line.md").read_text()
    for verbs in _FAMILIES.values():
        for verb, summary in verbs.items():
            rows = [line for line in text.splitlines() if line.startswith(f"| `{verb}")]
            assert any(summary in row for row in rows), verb


def test_every_shared_option_is_on_the_page():
    text = (DOCS / "command-line.md").read_text()
    for parameter in PARAMETERS:
        for word in parameter.annotation.__metadata__[0].param_decls:
            assert f"`{word}" in text


def test_every_verb_of_templates_is_on_the_page_with_its_options():
    text = (DOCS / "command-line.md").read_text()
    shared = {parameter.name for parameter in PARAMETERS}
    for verb, command in _load_family("template")["template"].commands.items():
        rows = [line for line in text.splitlines() if line.startswith(f"| `template {verb}")]
        own = [item.opts for item in command.params if item.name not in shared]
        options = [name for names in own for name in names if name.startswith("--")]
        assert rows, verb
        assert [name for name in options if not any(name in row for row in rows)] == [], verb
