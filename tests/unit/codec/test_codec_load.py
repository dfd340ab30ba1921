"""The doors of the codec: files, texts, mappings and specs."""

import pathlib

import attrs
import pytest

from lago_sdk.codec import check_file, check_text, load_spec, loads_spec, structure_spec
from lago_sdk.errors import SpecError
from lago_sdk.spec import (
    Bootstrap,
    DhcpRange,
    EmptyDisk,
    NetSpec,
    NicSpec,
    PrefixSpec,
    VMSpec,
)

GOOD = """\
nets: {lan: {management: true}}
domains:
  web:
    nics: [{net: lan}]
    disks: [{type: empty, size: 1G}]
"""


@pytest.fixture
def init_file(tmp_path):
    path = tmp_path / "LagoInitFile"
    path.write_text(GOOD)
    return path


class TestFiles:
    def test_a_file_gives_a_spec_that_knows_its_directory(self, init_file, monkeypatch):
        assert load_spec(init_file).init_dir == str(init_file.parent)
        monkeypatch.chdir(init_file.parent)
        assert PrefixSpec.load("LagoInitFile").init_dir == str(init_file.parent)

    def test_a_missing_file_is_one_sentence(self, tmp_path):
        path = tmp_path / "nowhere"
        with pytest.raises(SpecError) as raised:
            load_spec(path)
        assert str(raised.value) == (
            f"{path}: error: there is no such file "
            "(an init file describes the VMs and nets; give the path of one)"
        )

    def test_a_directory_with_an_init_file_in_it_says_so(self, init_file):
        _, (problem,) = check_file(init_file.parent)
        assert (problem.message, problem.code) == ("it is a directory", "no-file")
        assert problem.hint == f"did you mean {str(init_file)!r}?"

    def test_a_file_that_is_not_utf_8_says_the_line(self, tmp_path):
        path = tmp_path / "latin"
        path.write_bytes(b"nets:\n  # caf\xe9\n")
        _, (problem,) = check_file(path)
        assert str(problem) == f"{path}:2: error: the file is not UTF-8 text (save it as UTF-8)"

    def test_a_byte_order_mark_does_no_harm(self, tmp_path):
        path = tmp_path / "LagoInitFile"
        path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
        assert load_spec(path).vms

    def test_problems_name_the_file(self, tmp_path):
        path = tmp_path / "LagoInitFile"
        path.write_text(GOOD.replace("net: lan", "net: lna"))
        with pytest.raises(SpecError, match=rf"{path}:4:18: error: there is no net 'lna'"):
            load_spec(path)

    def test_errors_are_raised_all_at_once_and_warnings_are_not(self):
        with pytest.raises(SpecError) as raised:
            loads_spec(GOOD.replace("lan}]", "lna}]\n    vcpu: 0\n    vcpus: 1"))
        assert [problem.code for problem in raised.value.problems] == ["unknown-net", "bad-size"]

    def test_missing_files_are_told_where_they_are_written(self, init_file):
        text = (
            "    kernel: $DIR/vmlinuz\n    metadata:\n"
            "      deploy-scripts: [a.sh, b.sh, $LAGO_PREFIX_PATH/c.sh, $LAGO_INITFILE_PATH/a.sh]\n"
        )
        init_file.write_text(GOOD + text)
        (init_file.parent / "a.sh").touch()
        spec, problems = check_file(init_file, environ={"DIR": "/nowhere"})
        assert spec is None
        assert [str(problem).removeprefix(f"{init_file}:") for problem in problems] == [
            (
                "6:13: error: there is no file '/nowhere/vmlinuz' [domains.web.kernel] "
                "(it is written '$DIR/vmlinuz')"
            ),
            (
                "8:30: error: there is no script 'b.sh' [domains.web.metadata.deploy-scripts[1]] "
                "(looked for beside the init file and here)"
            ),
        ]
        assert check_file(init_file)[1] == ()


class TestMappings:
    def test_a_mapping_is_as_good_as_a_file(self):
        spec = structure_spec(
            {
                "nets": {"lan": {"dhcp": True}},
                "domains": {
                    "web": {
                        "memory": 512,
                        "nics": ({"net": "lan"},),
                        "disks": [{"type": "empty", "size": 2**30}],
                        "kernel": pathlib.Path("/boot/vmlinuz"),
                        "bootstrap": Bootstrap.NONE,
                    }
                },
            },
            init_dir="/lab",
        )
        assert spec == PrefixSpec(
            nets=(NetSpec(name="lan", dhcp=DhcpRange(start=2, end=254)),),
            vms=(
                VMSpec(
                    name="web",
                    memory=512,
                    nics=(NicSpec(net="lan"),),
                    disks=(EmptyDisk(size=2**30),),
                    kernel="/boot/vmlinuz",
                    bootstrap=Bootstrap.NONE,
                ),
            ),
        )
        assert spec.init_dir == "/lab"

    def test_a_mapping_is_left_as_it_was(self):
        inner = {"deploy-scripts": ["a.sh"], "a": {"b": [1]}}
        source = {"nets": {"lan": {}}, "domains": {"web": {"metadata": inner}}}
        spec = structure_spec(source)
        assert inner == {"deploy-scripts": ["a.sh"], "a": {"b": [1]}}
        assert spec.vms[0].metadata == {"a": {"b": [1]}}
        assert spec.vms[0].metadata["a"] is not inner["a"]

    def test_problems_have_paths_and_no_lines(self):
        with pytest.raises(SpecError) as raised:
            structure_spec({"nets": {"lan": {}}, "domains": {"web": {"nics": [{"net": "x"}]}}})
        assert str(raised.value) == (
            "error: there is no net 'x' [domains.web.nics[0].net] (there are: lan)"
        )

    def test_a_mapping_inside_itself_is_refused(self):
        metadata = {}
        metadata["self"] = metadata
        with pytest.raises(SpecError, match="nested more than 100 levels deep"):
            structure_spec({"nets": {"lan": {}}, "domains": {"web": {"metadata": metadata}}})

    def test_objects_that_no_file_can_hold_are_refused(self):
        source = {"nets": {"lan": {}}, "domains": {"web": {"metadata": {"a": object()}}}}
        with pytest.raises(SpecError, match="no form for a value of type object"):
            structure_spec(source)

    def test_a_spec_is_checked_and_given_back(self):
        good = PrefixSpec(nets=(NetSpec(name="lan"),))
        assert structure_spec(good) is good
        with pytest.raises(SpecError, match="there are no nets"):
            structure_spec(PrefixSpec())


@attrs.frozen(kw_only=True)
class MySpec(PrefixSpec):
    pass


def test_a_class_of_ones_own_is_made():
    assert isinstance(loads_spec(GOOD, MySpec), MySpec)
    assert isinstance(MySpec.loads(GOOD), MySpec)


class TestEcho:
    """One mistake is told once."""

    def test_a_bad_net_does_not_make_its_users_wrong(self):
        text = GOOD.replace("{management: true}", "[]")
        assert [problem.code for problem in check_text(text)[1]] == ["wrong-type"]

    def test_a_bad_list_is_not_a_missing_one(self):
        text = "nets: {lan: {}}\ndomains: {web: {nics: lan, disks: tiny}}\n"
        assert [problem.code for problem in check_text(text)[1]] == ["wrong-type", "wrong-type"]

    def test_a_bad_type_of_a_section_hides_what_depends_on_it(self):
        text = GOOD.replace("{lan: {management: true}}", "[lan]")
        assert [problem.code for problem in check_text(text)[1]] == ["wrong-type"]

    def test_a_mistake_that_an_anchor_spreads_is_told_once(self):
        text = (
            "nets: {lan: {}}\ndomains:\n  a: &a {nics: [{net: lna}], vcpu: 0}\n  b: *a\n  c: *a\n"
        )
        codes = [problem.code for problem in check_text(text)[1] if problem.is_error]
        assert codes == ["unknown-net", "bad-size"]

    def test_good_parts_are_checked_beside_bad_ones(self):
        text = GOOD.replace("type: empty", "type: emtpy") + "    vcpu: 0\n"
        assert [problem.code for problem in check_text(text)[1]] == ["unknown-word", "bad-size"]
