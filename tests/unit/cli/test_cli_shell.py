"""The verb `shell`: where commands go, and what comes back."""

import pytest


class TestShell:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["ls", "-l", "/tmp"], "ls -l /tmp"),
            (["-c", "cd /etc && ls"], "cd /etc && ls"),
            (["--", "ping", "-c1", "web"], "ping -c1 web"),
            (["echo $HOME"], "echo $HOME"),
            (["--help"], "--help"),
            (["-f", "json"], "-f json"),
        ],
    )
    def test_words_after_the_vm_are_the_command(self, library, lagoctl, words, line):
        vm = library.add().vms["db"]
        result = lagoctl("shell", "db", *words)
        assert vm.calls == [("ssh", line, None)]
        assert (result.exit_code, result.stdout, result.stderr) == (0, "out\n", "err\n")

    def test_the_guests_code_is_ours(self, library, lagoctl):
        library.add().vms["db"].code = 42
        assert lagoctl("shell", "db", "false").exit_code == 42

    def test_a_file_is_run_as_a_script(self, library, lagoctl, tmp_path):
        (tmp_path / "setup.sh").write_text("true")
        vm = library.add().vms["db"]
        assert lagoctl("shell", "db", "setup.sh").stdout == "script\n"
        assert vm.calls == [("script", "setup.sh")]

    def test_a_file_with_arguments_is_a_command(self, library, lagoctl, tmp_path):
        (tmp_path / "setup.sh").write_text("true")
        vm = library.add().vms["db"]
        lagoctl("shell", "db", "setup.sh", "x")
        assert vm.calls == [("ssh", "setup.sh x", None)]

    def test_without_words_it_is_a_login_shell(self, library, lagoctl, terminal):
        vm = library.add().vms["db"]
        vm.code = 3
        assert lagoctl("shell", "db").exit_code == 3
        assert vm.calls == [("interactive", None)]

    def test_on_a_terminal_a_command_gets_it(self, library, lagoctl, terminal):
        vm = library.add().vms["db"]
        lagoctl("shell", "db", "top")
        assert vm.calls == [("interactive", "top")]

    def test_without_words_and_terminal_standard_input_is_the_script(self, library, lagoctl):
        vm = library.add().vms["db"]
        lagoctl("shell", "db", input="hostname\n")
        assert vm.calls == [("script", "/dev/stdin")]

    def test_standard_input_reaches_a_command_when_asked_for(self, library, lagoctl):
        vm = library.add().vms["db"]
        lagoctl("shell", "-i", "db", "cat", input="data")
        assert vm.calls == [("ssh", "cat", b"data")]

    def test_the_end_of_a_name_will_do(self, library, lagoctl):
        vm = library.add().vms["web-2"]
        lagoctl("shell", "2", "true")
        assert vm.calls == [("ssh", "true", None)]

    def test_an_ambiguous_end_will_not(self, library, lagoctl):
        prefix = library.add()
        prefix.vms["new-db"] = prefix.vms["web-1"]
        prefix.vms["old-db"] = prefix.vms["web-1"]
        assert lagoctl("shell", "db", "true").exit_code == 0
        result = lagoctl("shell", "b", "true")
        assert result.exit_code == 2
        assert "hint: there are: db, new-db, old-db" in result.stderr
