"""The verbs for templates, on a real store of small images."""

import json
import subprocess
from pathlib import Path

import pytest

import lago_sdk
from lago_sdk import Config, Image, Template
from lago_sdk.templates.store import TemplateStore
from lago_sdk.templates.usage import mark_used

UUID = "0123456789abcdef" * 2


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    return path


@pytest.fixture
def base(lagoctl, image):
    """The template base:1; its file."""
    result = lagoctl("template", "import", str(image), "--name", "base", "--version", "1")
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


@pytest.fixture
def prefix(tmp_path, base):
    """A prefix that uses base."""
    store = TemplateStore(Config.load().template_store)
    path = tmp_path / "lab" / "default" / "uuid"
    path.parent.mkdir(parents=True)
    path.write_text(UUID)
    mark_used(store, store.get_template("base"), uuid_path=path, uuid=UUID)
    return path.parent


def read(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


class TestList:
    def test_a_table_for_people(self, lagoctl, base, prefix):
        head, row = lagoctl("template", "list").stdout.splitlines()
        assert " ".join(head.split()) == "NAME VERSION SIZE ON DISK USED BY LAST USED FILE"
        assert row.startswith("base  1        64 MiB  ")
        assert "1 prefix" in row
        assert row.endswith(str(base))

    def test_data_is_in_bytes(self, lagoctl, base, prefix):
        (data,) = read(lagoctl("template", "list", "-f", "json"))
        assert data["size"] == 64 << 20
        assert 0 < data["disk_usage"] < 1 << 20
        assert data["used_by"] == [str(prefix)]
        assert data["path"] == str(base)
        assert data["digest"].startswith("sha256:")

    def test_all_formats(self, lagoctl, base):
        assert "name: base" in lagoctl("template", "list", "-f", "yaml").stdout
        assert "0/name: base" in lagoctl("template", "list", "-f", "flat").stdout
        assert "    name: base" in lagoctl("template", "list", "-f", "default").stdout

    def test_an_empty_store_says_where_it_is(self, lagoctl):
        result = lagoctl("template", "list")
        assert result.exit_code == 0
        assert f"no templates in {Config.load().template_store}" in result.stderr

    def test_the_catalogue(self, lagoctl):
        table = lagoctl("template", "list", "--catalogue").stdout
        assert table.startswith("NAME ")
        names = {
            entry["name"]
            for entry in read(lagoctl("template", "list", "--catalogue", "-f", "json"))
        }
        assert "debian-12" in names
        assert all(name in table for name in names)


class TestInfo:
    def test_all_that_is_known(self, lagoctl, image, prefix):
        facts = image.with_name("facts.json")
        facts.write_text('{"distro": "debian", "ports": [22]}')
        words = ["--name", "base", "--version", "2", "--metadata", str(facts)]
        lagoctl("template", "import", str(image), *words)
        data = read(lagoctl("template", "info", "base", "-f", "json"))
        assert (data["version"], data["used_by"]) == ("2", [])
        assert data["metadata"] == {"distro": "debian", "ports": [22]}
        text = lagoctl("template", "info", "base:1").stdout
        assert "template   base:1\n" in text
        assert f"used by    {prefix}\n" in text

    def test_what_is_not_there_is_a_mistake_with_a_hint(self, lagoctl, base):
        result = lagoctl("template", "info", "bose")
        assert result.exit_code == 2
        assert "did you mean 'base'?" in result.stderr
        assert lagoctl("template", "info", "base:9").exit_code == 2


class TestVerify:
    def test_good_and_damaged(self, lagoctl, base, image):
        lagoctl("template", "import", str(image), "--name", "good", "--version", "1")
        assert "as it was added" in lagoctl("template", "verify").stdout
        base.chmod(0o644)
        base.write_bytes(b"worm")
        result = lagoctl("template", "verify", "-f", "json")
        assert result.exit_code == 2
        assert [item["ok"] for item in json.loads(result.stdout)] == [False, True]
        assert "is damaged" in result.stdout
        assert lagoctl("template", "verify", "good").exit_code == 0
        assert lagoctl("template", "verify", "nope").exit_code == 2


class TestRemoval:
    def test_what_is_used_stays(self, lagoctl, base, prefix):
        result = lagoctl("template", "rm", "base")
        assert result.exit_code == 2
        assert str(prefix) in result.stderr
        assert base.exists()
        data = read(lagoctl("template", "gc", "--older-than", "0", "-f", "json"))
        assert (data["removed"], data["kept"], data["freed"]) == ([], ["base:1"], 0)
        assert "removed base:1" in lagoctl("template", "rm", "base", "--force").stderr
        assert not base.exists()

    def test_gc_says_what_it_did(self, lagoctl, base):
        result = lagoctl("template", "gc", "--older-than", "0", "--dry-run")
        assert "base  1 " in result.stdout
        assert "would remove 1 template, " in result.stderr
        assert base.exists()
        assert "removed nothing" in lagoctl("template", "gc").stderr
        assert read(lagoctl("template", "gc", "--max-size", "1G", "-f", "json"))["removed"] == []
        data = read(lagoctl("template", "gc", "--max-size", "0", "-f", "json"))
        assert [item["name"] for item in data["removed"]] == ["base"]
        assert data["freed"] > 0
        assert not base.exists()

    @pytest.mark.parametrize("words", [("--older-than", "x"), ("--max-size", "x")])
    def test_limits_that_make_no_sense(self, lagoctl, base, words):
        result = lagoctl("template", "gc", *words)
        assert result.exit_code == 2
        assert "hint: write it as" in result.stderr
        assert base.exists()

    @pytest.mark.parametrize("name", ["../x", "..", "base:../../x"])
    def test_names_that_leave_the_store(self, lagoctl, base, name):
        for verb in ("rm", "info", "verify"):
            result = lagoctl("template", verb, name)
            assert result.exit_code == 2
            assert "cannot be the name" in result.stderr


def test_what_is_exported_is_served_by_a_repository_of_files(lagoctl, base, tmp_path, monkeypatch):
    root = tmp_path / "www"
    root.mkdir()
    result = lagoctl("template", "export", "base", str(root), "--compress", "xz", "-f", "json")
    data = read(result)
    assert Path(data["image"]) == root / "base-1.qcow2.xz"
    lagoctl("template", "rm", "base")
    version = {"source": "here", "handle": "base-1.qcow2", "timestamp": 1700000000}
    repository = {
        "name": "mine",
        "sources": {"here": {"type": "file", "args": {"root": str(root)}}},
        "templates": {"base": {"versions": {"v7": version}}},
    }
    path = tmp_path / "repo.json"
    path.write_text(json.dumps(repository))
    monkeypatch.setenv("LAGO_TEMPLATE_REPO_PATH", str(path))
    fetched = read(lagoctl("template", "fetch", "base", "-f", "json"))
    assert (fetched["version"], fetched["digest"]) == ("v7", data["digest"])
    assert lagoctl("template", "fetch", "base:v7").stdout == f"{fetched['path']}\n"
    assert "nothing newer" in lagoctl("template", "outdated").stderr
    repository["templates"]["base"]["versions"]["v8"] = {**version, "timestamp": 1800000000}
    path.write_text(json.dumps(repository))
    (found,) = read(lagoctl("template", "outdated", "-f", "json"))
    assert (found["name"], found["version"], found["published"]) == ("base", "v7", "v8")
    assert "v8" in lagoctl("template", "outdated").stdout


def test_build_calls_the_recipe(lagoctl, monkeypatch):
    image = Image(path="/store/tiny/1/image.qcow2", size=1 << 30, digest="sha256:00")
    asked = []

    def build(name, *, config, observer, force):
        asked.append((name, force))
        return Template(name="tiny", version="1", timestamp=0.0, image=image)

    monkeypatch.setitem(lago_sdk.__dict__, "build_template", build)
    assert lagoctl("template", "build", "tiny", "--force").stdout == f"{image.path}\n"
    assert asked == [("tiny", True)]


def test_a_link_is_asked_for(lagoctl, image):
    result = lagoctl("template", "import", str(image), "--name", "linked", "--link")
    assert Path(result.stdout.strip()).samefile(image)


def test_import_refuses_in_a_sentence(lagoctl, tmp_path):
    result = lagoctl("template", "import", str(tmp_path / "nowhere"), "--name", "x")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_export_refuses_to_overwrite(lagoctl, base, tmp_path):
    target = tmp_path / "mine"
    target.write_text("mine")
    result = lagoctl("template", "export", "base", str(target))
    assert result.exit_code == 2
    assert target.read_text() == "mine"


def test_layers_are_counted(lagoctl, base, tmp_path):
    overlay = tmp_path / "overlay.qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay]
    subprocess.run(argv, check=True)
    lagoctl("template", "import", str(overlay), "--name", "top", "--version", "1")
    assert "1 above" in lagoctl("template", "list").stdout
    assert "below      top:1\n" in lagoctl("template", "info", "base").stdout
    assert "made on    base:1\n" in lagoctl("template", "info", "top").stdout
