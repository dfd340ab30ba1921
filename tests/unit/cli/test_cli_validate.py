"""The verb `validate`: every problem, as compilers tell them."""

import json
from pathlib import Path

import pytest

import lago_sdk
from lago_sdk import Problem, Severity


class TestValidate:
    @pytest.fixture(autouse=True)
    def _checker(self, monkeypatch, tmp_path):
        def check(path):
            text = Path(path).read_text()
            severities = {"bad": Severity.ERROR, "odd": Severity.WARNING}
            return tuple(
                Problem(
                    message=f"{word} thing",
                    path=("domains", "web", "nics", 0),
                    hint="did you mean 'x'?",
                    severity=severity,
                    code="thing",
                    file=str(path),
                    line=2,
                    column=3,
                )
                for word, severity in severities.items()
                if word in text
            )

        monkeypatch.setitem(lago_sdk.__dict__, "check_init_file", check)
        for name, text in {"good": "x", "bad": "a:\n  bad\n", "odd": "a:\n  odd\n"}.items():
            (tmp_path / name).write_text(text)

    def test_a_good_file(self, lagoctl):
        result = lagoctl("validate", "good")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no problems\n")

    def test_problems_read_like_a_compilers(self, lagoctl):
        result = lagoctl("validate", "bad", "odd")
        assert result.exit_code == 2
        assert result.stdout == (
            "bad:2:3: error: bad thing [domains.web.nics[0]] (did you mean 'x'?)\n"
            "odd:2:3: warning: odd thing [domains.web.nics[0]] (did you mean 'x'?)\n"
        )
        assert result.stderr == "1 error and 1 warning in 2 files\n"

    def test_warnings_pass_unless_strict(self, lagoctl):
        assert lagoctl("validate", "odd").exit_code == 0
        assert lagoctl("validate", "--strict", "odd").exit_code == 2

    def test_on_a_terminal_the_line_is_shown(self, lagoctl, terminal):
        assert "\n    bad\n    ^\n" in lagoctl("validate", "bad").stdout

    def test_as_json(self, lagoctl):
        result = lagoctl("validate", "bad", "-f", "json")
        assert result.exit_code == 2
        assert json.loads(result.stdout) == [
            {
                "file": "bad",
                "line": 2,
                "column": 3,
                "severity": "error",
                "code": "thing",
                "message": "bad thing",
                "path": ["domains", "web", "nics", 0],
                "hint": "did you mean 'x'?",
            }
        ]

    def test_no_problem_is_an_empty_list(self, lagoctl):
        assert json.loads(lagoctl("validate", "good", "-f", "json").stdout) == []
