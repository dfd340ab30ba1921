"""Recipe files: what they say, what is wrong with them, and what comes of them in a tree."""

from __future__ import annotations

import json
import os
import py_compile
import re
import struct
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import attrs
import pytest

from lago_sdk.codec.recipe import load_recipe, loads_recipe
from lago_sdk.errors import SpecError, TemplateError, TemplateNotFoundError
from lago_sdk.spec.recipe import Base, RecipeFile, RecipeSpec
from lago_sdk.templates.debian import Apt
from lago_sdk.templates.python_bytecode import date_bytecode
from lago_sdk.templates.recipes import debian, get_recipe
from lago_sdk.templates.recipes.debian import DebianRecipe
from lago_sdk.templates.recipes.extras import add_files, add_unpacked
from lago_sdk.templates.recipes.tiny import TinyRecipe
from lago_sdk.templates.root_archive import read_root_archive, write_root_archive
from lago_sdk.templates.tree import Directory, File, Link, Tree

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))
PAGE = ROOT / "docs" / "recipes.md"


class TestFiles:
    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_the_examples_are_valid(self, path):
        spec = load_recipe(path)
        recipe = get_recipe(path)
        assert recipe.name == spec.name == path.stem
        assert re.fullmatch(r"1\.[0-9a-f]{8}", recipe.version)

    def test_each_base_has_an_example(self):
        assert {load_recipe(path).base for path in EXAMPLES} == set(Base)

    def test_the_page_shows_valid_recipes_and_names_every_key(self):
        text = PAGE.read_text()
        shown = re.findall(r"^```yml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert [loads_recipe(item).name for item in shown]
        keys = {field.name for model in (RecipeSpec, RecipeFile) for field in attrs.fields(model)}
        assert keys <= set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE))

    def test_a_source_is_beside_the_recipe(self, tmp_path, monkeypatch):
        (tmp_path / "page").write_text("hello")
        path = tmp_path / "web.json"
        files = [{"path": "/srv/page", "source": "page", "mode": "0640"}]
        path.write_text(json.dumps({"name": "web", "base": "tiny", "files": files}))
        monkeypatch.chdir("/")
        tree = Tree()
        add_files(tree, load_recipe(path))
        entry = dict(tree.list())["srv/page"]
        assert (entry.read(), entry.mode) == (b"hello", 0o640)

    def test_a_source_that_is_not_there(self, tmp_path):
        spec = RecipeSpec(name="a", files=(RecipeFile(path="/a", source=str(tmp_path / "no")),))
        for recipe in (DebianRecipe(spec=spec), TinyRecipe(spec=spec)):
            with pytest.raises(TemplateError, match=r"cannot read '.*/no': No such file"):
                assert recipe.version

    def test_no_such_recipe(self):
        with pytest.raises(TemplateNotFoundError, match="no recipe for a template 'debain-12'"):
            get_recipe("debain-12")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: ../x", "'../x' cannot be a template's name"),
        ("name: tiny", "'tiny' is the name of a recipe that comes with lago_sdk"),
        ("name: debian-12", "'debian-12' is the name of a recipe"),
        ("{name: a, base: debain-12}", "debian-12"),
        ("{name: a, packges: [x]}", "packges"),
        ("{name: a, suite: '../x'}", "'../x' is not a suite's name"),
        ("{name: a, mirror: [nowhere]}", "'nowhere' is not a mirror"),
        ("{name: a, packages: ['-oX=1']}", "'-oX=1' is not a package's name"),
        ("{name: a, files: [{path: /a/../b, content: x}]}", "is not the absolute path of a file"),
        ("{name: a, files: [{path: /a}]}", "a file has either 'content' or 'source'"),
        ("{name: a, files: [{path: /a, content: x, mode: rw}]}", "'rw' is not a mode"),
        ("{name: a, size: 512M}", "too small"),
        ("{name: a, base: tiny, size: 64M}", "too small"),
        ('{name: a, cmdline: "quiet\\n evil"}', "ASCII in one line"),
        ("{name: a, base: tiny, run: [ls]}", "a recipe on the base 'tiny' has no 'run'"),
        ("{name: a, base: tiny, remove: [curl]}", "a recipe on the base 'tiny' has no 'remove'"),
        ("[]", "map"),
        ("", "a recipe needs at least a name"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, told):
    with pytest.raises(SpecError) as caught:
        loads_recipe(text, file="my.yaml")
    assert told in str(caught.value)
    assert "my.yaml" in str(caught.value)


def test_every_problem_is_told_at_once():
    with pytest.raises(SpecError) as caught:
        loads_recipe("{name: tiny, base: tiny, run: [ls], packages: ['A B'], size: 1}")
    assert {problem.code for problem in caught.value.problems} == {
        "name-taken",
        "not-for-base",
        "bad-value",
    }


class TestVersion:
    @pytest.mark.parametrize("recipe", [TinyRecipe, DebianRecipe])
    def test_it_changes_with_all_that_is_said_but_the_comment(self, recipe):
        base = Base.TINY if recipe is TinyRecipe else Base.DEBIAN_12
        plain = RecipeSpec(name="a", base=base)
        file = RecipeFile(path="/a", content="x")
        specs = [
            plain,
            attrs.evolve(plain, packages=("socat",)),
            attrs.evolve(plain, files=(file,)),
            attrs.evolve(plain, files=(attrs.evolve(file, mode="0755"),)),
            attrs.evolve(plain, files=(attrs.evolve(file, content="y"),)),
            attrs.evolve(plain, size=2 << 30),
            attrs.evolve(plain, cmdline="debug"),
            attrs.evolve(plain, metadata={"a": 1}),
        ]
        assert len({recipe(spec=spec).version for spec in specs}) == len(specs)
        remarked = attrs.evolve(plain, comment="a remark")
        assert recipe(spec=remarked).version == recipe(spec=plain).version

    def test_it_follows_the_content_of_a_source(self, tmp_path):
        path = tmp_path / "page"
        spec = RecipeSpec(name="a", files=(RecipeFile(path="/a", source=str(path)),))
        found = set()
        for text in ("one", "two"):
            path.write_text(text)
            found.add(DebianRecipe(spec=spec).version)
        assert len(found) == 2

    def test_a_package_that_the_base_has_not_cannot_be_left_out(self, tmp_path):
        spec = RecipeSpec(name="a", remove=("crul",))
        with pytest.raises(TemplateError, match="does not ask for the package 'crul'") as caught:
            DebianRecipe(spec=spec).build(tmp_path, lambda event: None)
        assert "curl" in caught.value.hint


class TestUnpacked:
    def test_programs_win_over_busybox_and_nothing_else_is_replaced(self, tmp_path):
        for path in ("usr/bin/nc", "usr/sbin/new", "etc/passwd", "usr/share/man/man1/nc.1"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("package")
        (tmp_path / "usr/sbin/new").chmod(0o755)
        (tmp_path / "usr/bin/other").symlink_to("nc")
        (tmp_path / "lib").symlink_to("usr/lib")
        tree = Tree()
        tree.add("usr/bin/nc", Link("/bin/busybox"))
        tree.add("etc/passwd", File(b"base"))
        tree.add("lib", Directory())
        add_unpacked(tree, tmp_path)
        found = dict(tree.list())
        assert found["usr/bin/nc"].read() == b"package"
        assert found["usr/sbin/new"].mode == 0o755
        assert found["usr/bin/other"] == Link("nc")
        assert found["etc/passwd"].read() == b"base"
        assert found["lib"] == Directory()
        assert "usr/share/man/man1/nc.1" not in found

    def test_apt_says_what_a_package_needs(self, tmp_path):
        found = Apt(tmp_path, arch="amd64").list_needed(["dropbear-bin"])
        names = [item.partition("=")[0] for item in found]
        assert {"dropbear-bin", "libtomcrypt1", "libc6"} <= set(names)
        assert all("=" in item for item in found)


def keep_all(path, is_directory):
    return False


class TestArchive:
    def test_an_image_keeps_directories_of_logs_and_caches_but_not_what_is_in_them(self, tmp_path):
        kept = ["var/cache/apt/archives/partial", "var/log/nginx"]
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            for name in ("var/log/journal", *kept):
                member = tarfile.TarInfo(name)
                member.type, member.mode, member.uid = tarfile.DIRTYPE, 0o750, 33
                archive.addfile(member)
            for name in ("var/log/nginx/access.log", "var/cache/apt/pkgcache.bin", "var/log/a"):
                archive.addfile(tarfile.TarInfo(name))
        found = dict(
            read_root_archive(
                tmp_path / "root.tar", tmp_path / "files", skip=debian._is_left_behind
            ).list()
        )
        assert [path for path in found if path.count("/") > 1 and path != "var/cache/apt"] == [
            "var/cache/apt/archives",
            *kept,
        ]
        assert found["var/log/nginx"] == Directory(0o750, 33, 0)

    @pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
    def test_a_hostile_one_is_refused(self, tmp_path, name):
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, BytesIO(b"evil"))
        with pytest.raises(TemplateError, match="a path outside of itself"):
            read_root_archive(tmp_path / "root.tar", tmp_path / "out", skip=keep_all)
        assert not (tmp_path / "evil").exists()

    def test_a_link_out_of_it_leads_nowhere(self, tmp_path):
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            link = tarfile.TarInfo("out")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(link)
            member = tarfile.TarInfo("out/evil")
            member.size = 4
            archive.addfile(member, BytesIO(b"evil"))
        read_root_archive(tmp_path / "root.tar", tmp_path / "files", skip=keep_all)
        assert not (tmp_path / "evil").exists()  # links are entries of the tree, not of the disk

    def test_one_that_is_cut_off_is_refused(self, tmp_path):
        path = tmp_path / "root.tar"
        tree = Tree()
        tree.add("a", File(bytes(100_000)))
        write_root_archive(path, tree)
        path.write_bytes(path.read_bytes()[:50_000])
        with pytest.raises(TemplateError, match="not a sound tar archive"):
            read_root_archive(path, tmp_path / "files", skip=keep_all)


class TestBytecode:
    DATE = 1704067200

    def compile(self, directory, mode):
        source = directory / "lib" / "module.py"
        source.parent.mkdir()
        source.write_text("VALUE = 1\n")
        compiled = Path(py_compile.compile(str(source), invalidation_mode=mode))
        tree = Tree()
        for path in (source, compiled):
            tree.add(path.relative_to(directory).as_posix(), File(path))
        return source, compiled, tree

    def test_it_is_valid_for_the_source_of_that_date(self, tmp_path):
        hashed = py_compile.PycInvalidationMode.CHECKED_HASH
        source, compiled, tree = self.compile(tmp_path, hashed)
        date_bytecode(tree, self.DATE)
        os.utime(source, (self.DATE, self.DATE))
        flags, date, size = struct.unpack("<III", compiled.read_bytes()[4:16])
        assert (flags, date, size) == (0, self.DATE, source.stat().st_size)
        argv = [sys.executable, "-v", "-c", "import module; print(module.VALUE)"]
        environ = {"PYTHONPATH": str(source.parent)}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"
        assert f"{compiled} matches {source}" in done.stderr

    def test_others_stay_as_they_are(self, tmp_path):
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        _, compiled, tree = self.compile(tmp_path, unchecked)
        before = compiled.read_bytes()
        tree.remove("lib/module.py")
        tree.add("lib/__pycache__/short.pyc", File(b"x"))
        date_bytecode(tree, self.DATE)
        assert compiled.read_bytes() == before
