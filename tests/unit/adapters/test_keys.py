"""Key pairs: what is written, what is kept, and that OpenSSH agrees."""

import stat
import subprocess

import pytest
from ssh_servers import get_program

from lago_sdk.adapters import keys
from lago_sdk.adapters.process import run
from lago_sdk.errors import LagoError, SSHError, ToolError
from lago_sdk.ports import KeyTool  # noqa: TC001


def test_the_module_is_a_key_tool():
    tool: KeyTool = keys
    assert tool.generate_host_key("x")


def test_a_pair_is_two_files_and_the_private_one_is_private(tmp_path):
    line = keys.create_key_pair(tmp_path / "id", "lago-1234")
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o600
    assert (tmp_path / "id.pub").read_text() == f"{line}\n"
    assert line.startswith("ssh-ed25519 AAAA")
    assert line.endswith(" lago-1234")
    assert {path.name for path in tmp_path.iterdir()} == {"id", "id.pub"}


def test_openssh_reads_the_private_key_and_sees_the_same_public_one(tmp_path):
    line = keys.create_key_pair(tmp_path / "id", "c")
    program = get_program("ssh-keygen", "openssh-client")
    shown = subprocess.run(
        [program, "-y", "-P", "", "-f", tmp_path / "id"], capture_output=True, check=True, text=True
    )
    assert shown.stdout.split()[:2] == line.split()[:2]


def test_an_existing_pair_is_kept(tmp_path):
    first = keys.create_key_pair(tmp_path / "id", "c")
    private = (tmp_path / "id").read_bytes()
    assert keys.create_key_pair(tmp_path / "id", "other") == first
    assert (tmp_path / "id").read_bytes() == private


def test_a_lost_public_file_is_made_again(tmp_path):
    first = keys.create_key_pair(tmp_path / "id", "c")
    (tmp_path / "id.pub").unlink()
    assert keys.create_key_pair(tmp_path / "id", "c") == first
    assert keys.read_public_key(tmp_path / "id") == first


def test_a_damaged_private_key_is_told_not_overwritten(tmp_path):
    (tmp_path / "id").write_text("rubbish")
    with pytest.raises(SSHError, match="cannot read the private key") as caught:
        keys.create_key_pair(tmp_path / "id", "c")
    assert "remove the file" in str(caught.value)
    assert (tmp_path / "id").read_text() == "rubbish"


@pytest.mark.parametrize("text", [None, "", "rubbish", "ssh-ed25519", "ssh-ed25519 BBBB", b"\xff"])
def test_a_public_file_without_a_key_is_an_error(tmp_path, text):
    if text is not None:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "id.pub").write_bytes(data)
    with pytest.raises(SSHError):
        keys.read_public_key(tmp_path / "id")


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(LagoError):
        keys.create_key_pair(tmp_path / "absent" / "id", "c")


def test_a_comment_is_one_line():
    with pytest.raises(SSHError, match="one line"):
        keys.generate_host_key("a\nssh-ed25519 AAAA")


def test_host_keys_differ():
    assert keys.generate_host_key("a")[1] != keys.generate_host_key("a")[1]


def test_a_password_is_hashed_as_guests_do():
    first, second = (keys.hash_password("se'cret $x") for _ in range(2))
    assert first.startswith("$6$")
    assert first != second
    salt = first.split("$")[2]
    again = run(["openssl", "passwd", "-6", "-salt", salt, "se'cret $x"]).out.strip()
    assert again == first


def test_a_password_of_two_lines_is_refused():
    with pytest.raises(ToolError, match="line end"):
        keys.hash_password("a\nb")
