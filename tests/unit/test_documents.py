"""What the documents show is right: links lead somewhere, examples are valid."""

import ast
import re
from pathlib import Path

import pytest

import lago_sdk

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
INIT_FILES = sorted((ROOT / "examples").rglob("LagoInitFile"))

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://)([^)#]+)(#[^)]*)?\)")


def list_blocks(language):
    return [
        pytest.param(block, id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, (found, block) in enumerate(_FENCE.findall(path.read_text()))
        if found == language
    ]


def list_names(source):
    """Public names that *source* imports from lago_sdk."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "lago_sdk":
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = [link for link, _ in _LINK.findall(path.read_text())]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("text", list_blocks("yaml"))
def test_init_files_in_documents_are_valid(text):
    spec = lago_sdk.PrefixSpec.loads(text)
    assert lago_sdk.plan_spec(spec).vms


@pytest.mark.parametrize("path", INIT_FILES, ids=lambda path: path.parent.name)
def test_init_files_of_the_examples_are_valid(path):
    assert lago_sdk.check_init_file(path) == ()
    assert lago_sdk.plan_spec(path).vms


@pytest.mark.parametrize("source", list_blocks("python"))
def test_python_in_documents_uses_public_names(source):
    assert set(list_names(source)) <= set(lago_sdk.__all__)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_use_public_names(path):
    assert set(list_names(path.read_text())) <= set(lago_sdk.__all__)


def test_the_readme_shows_the_two_commands_first():
    commands = _FENCE.findall((ROOT / "README.md").read_text())[0][1]
    assert [line.split()[0] for line in commands.splitlines()] == ["scripts/demo", "scripts/test"]
    for command in ("scripts/demo", "scripts/test", ".ci/run"):
        assert (ROOT / command).stat().st_mode & 0o111, f"{command} is not executable"
