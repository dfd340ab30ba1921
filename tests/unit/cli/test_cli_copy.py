"""The verbs that copy."""

import pytest


@pytest.mark.parametrize("verb", ["to", "from"])
@pytest.mark.parametrize(
    ("words", "sources", "target", "follow"),
    [
        (["db", "a", "b"], ["a"], "b", False),
        (["db", "a", "b", "c"], ["a", "b"], "c", False),
        (["-L", "db", "a", "b"], ["a"], "b", True),
        (["db", "a", "b", "--follow"], ["a"], "b", True),
        (["db", "--", "-a", "-b"], ["-a"], "-b", False),
    ],
)
def test_the_last_path_is_where_to(library, lagoctl, verb, words, sources, target, follow):
    vm = library.add().vms["db"]
    assert lagoctl(f"copy-{verb}-vm", *words).exit_code == 0
    assert vm.calls == [(f"copy {verb}", sources, target, follow)]


@pytest.mark.parametrize("verb", ["to", "from"])
def test_one_path_is_not_enough(library, lagoctl, verb):
    library.add()
    result = lagoctl(f"copy-{verb}-vm", "db", "a")
    assert result.exit_code == 2
    assert "it takes what to copy, and where to" in result.stderr
    assert f"hint: lagoctl copy-{verb}-vm VM" in result.stderr
