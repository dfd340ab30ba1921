"""Repositories in Lago's JSON format: what is read, what is refused, and which one is asked."""

from __future__ import annotations

import json

import pytest
from template_servers import running_server

from lago_sdk.adapters.http_client import Limits
from lago_sdk.config import Config
from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.templates.digests import parse_digest
from lago_sdk.templates.locations import Locations
from lago_sdk.templates.repository import TemplateRepository
from lago_sdk.templates.sources import get_offer, list_repositories

LOCATIONS = Locations(Limits(attempts=1))
WEB = {"type": "http", "args": {"baseurl": "http://images.example/base/"}}


def document(**values):
    versions = {
        "old": {"source": "web", "handle": "el9-1.qcow2", "timestamp": "100"},
        "new": {"source": "web", "handle": "sub/el9 2.qcow2", "timestamp": 200.5},
    }
    return {
        "name": "lab",
        "sources": {"web": WEB},
        "templates": {"el9": {"versions": versions}},
        **values,
    }


def parse(value, location="file:///srv/repo.json"):
    text = value if isinstance(value, str) else json.dumps(value)
    return TemplateRepository.parse(text, location)


def one(source, handle="image", **values):
    version = {"source": "s", "handle": handle, "timestamp": 1, **values}
    return document(sources={"s": source}, templates={"t": {"versions": {"1": version}}})


def test_the_newest_by_timestamp_is_the_default():
    repository = parse(document())
    assert repository.name == "lab"
    assert [found.version for found in repository.versions["el9"]] == ["new", "old"]
    assert repository.get("el9").timestamp == 200.5
    assert repository.get("el9", "old").url == "http://images.example/base/el9-1.qcow2"
    assert repository.get("el9").url == "http://images.example/base/sub/el9%202.qcow2"


@pytest.mark.parametrize(
    ("source", "location", "url"),
    [
        ({"type": "http", "args": {"baseurl": "."}}, "http://h/r/repo.json", "http://h/r/image"),
        (
            {"type": "http", "args": {"baseurl": "../x"}},
            "http://h/r/repo.json",
            "http://h/x/image",
        ),
        ({"type": "file", "args": {"root": "images"}}, "file:///srv/r.json", "file:///srv/images/image"),
        ({"type": "file", "args": {"root": "/data"}}, "file:///srv/r.json", "file:///data/image"),
        ({"type": "file", "args": {"root": "/data"}}, "http://h/r.json", "file:///data/image"),
        ({"type": "file", "args": {"root": "$DATA"}}, "file:///srv/r.json", "file:///mnt/a/image"),
        ({"type": "file", "args": {"root": "~/i"}}, "file:///srv/r.json", "file:///home/x/i/image"),
    ],
)  # fmt: skip
def test_where_a_source_is(source, location, url, monkeypatch):
    monkeypatch.setenv("DATA", "/mnt/a")
    monkeypatch.setenv("HOME", "/home/x")
    assert parse(one(source), location).get("t").url == url


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{", "not valid JSON"),
        ("[" * 100000, "not valid JSON"),
        ([], "expected a map"),
        (document(name=None), "expected text at name"),
        (document(templates=None), "expected a map at templates"),
        (document(templates={"el9": {}}), r"expected a map at templates\.el9\.versions"),
        (document(sources={}), r"one of the sources \(none\) at templates\.el9\.versions\.old"),
        (one({"type": "ftp", "args": {}}), r"'file' or 'http' at sources\.s\.type"),
        (one({"type": "file", "args": {}}), r"expected text at sources\.s\.args\.root"),
        (one(WEB, timestamp="soon"), r"expected a number at templates\.t\.versions\.1\.timestamp"),
        (one(WEB, timestamp=True), "expected a number"),
        (one(WEB, handle=5), "expected text"),
        (one(WEB, handle="../../etc/shadow"), "cannot be the path"),
        (one(WEB, handle="http://elsewhere/x"), "cannot be the path"),
        (document(templates={"../x": {"versions": {}}}), "cannot be the name"),
    ],
)
def test_what_is_no_repository_says_where(value, expected):
    with pytest.raises(TemplateError, match=expected):
        parse(value)


def test_unknown_names_come_with_what_there_is():
    repository = parse(document())
    with pytest.raises(TemplateNotFoundError, match="'lab' has no template 'el8'") as caught:
        repository.get("el8")
    assert caught.value.hint == "did you mean 'el9'?"
    with pytest.raises(TemplateNotFoundError, match="no version '3' of 'el9'") as caught:
        repository.get("el9", "3")
    assert caught.value.hint == "there are: new, old"


def test_one_is_loaded_from_a_server():
    with running_server() as server:
        server.add("repo.json", json.dumps(document()).encode())
        assert TemplateRepository.load(f"{server.url}/repo.json", LOCATIONS).name == "lab"
        with pytest.raises(TemplateError, match=r"there is no http://.*/other\.json"):
            TemplateRepository.load(f"{server.url}/other.json", LOCATIONS)


def test_a_url_that_cannot_be_fetched():
    with pytest.raises(TemplateError, match="cannot fetch 'ftp://x/y'"):
        TemplateRepository.load("ftp://x/y", LOCATIONS)


class TestChoice:
    def write(self, directory, name, **templates):
        directory.mkdir(exist_ok=True)
        path = directory / f"{name}.json"
        versions = {
            key: {"versions": {"1": {"source": "web", "handle": f"{name}-{key}", "timestamp": 1}}}
            for key in templates
        }
        path.write_text(json.dumps(document(name=name, templates=versions)))
        return path

    def names(self, **values):
        notes = []
        found = list_repositories(Config(**values), LOCATIONS, notes.append)
        return [repository.name for repository in found], notes

    def test_all_of_the_directory(self, tmp_path):
        self.write(tmp_path, "b")
        self.write(tmp_path, "a")
        assert self.names(template_repos=tmp_path) == (["a", "b"], [])

    def test_one_of_the_directory_by_name(self, tmp_path):
        self.write(tmp_path, "b")
        self.write(tmp_path, "a")
        names, _ = self.names(template_repos=tmp_path, template_repo_name="b")
        assert names == ["b"]
        with pytest.raises(TemplateError, match="no template repository 'x'") as caught:
            self.names(template_repos=tmp_path, template_repo_name="x")
        assert caught.value.hint == "there are: a, b"

    def test_paths_win_over_the_directory(self, tmp_path):
        self.write(tmp_path, "a")
        path = str(self.write(tmp_path / "more", "b"))
        names, _ = self.names(
            template_repos=tmp_path, template_repo_path=(path,), template_repo_name="a"
        )
        assert names == ["b"]

    def test_a_broken_file_of_the_directory_is_passed_over_with_a_warning(self, tmp_path):
        self.write(tmp_path, "a")
        (tmp_path / "b.json").write_text("{")
        names, notes = self.names(template_repos=tmp_path)
        assert names == ["a"]
        assert isinstance(notes[0], Note)
        assert "not valid JSON" in notes[0].message

    def test_the_first_that_has_it_is_asked(self, tmp_path):
        self.write(tmp_path, "a", one=1)
        self.write(tmp_path, "b", one=1, two=1)
        config = Config(template_repos=tmp_path)

        def choose(name):
            offer = get_offer(name, None, config=config, locations=LOCATIONS, observer=[].append)
            return offer.repository

        assert (choose("one"), choose("two")) == ("a", "b")

    def test_paths_are_separated_by_commas(self):
        env = {"LAGO_TEMPLATE_REPO_PATH": "a.json, http://h/b.json,"}
        assert Config.load(env=env, files=()).template_repo_path == ("a.json", "http://h/b.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 40, "sha1:" + "a" * 40),
        ("A" * 64, "sha256:" + "a" * 64),
        ("sha512:" + "b" * 128, "sha512:" + "b" * 128),
        ("SHA-256:" + "c" * 64, "sha256:" + "c" * 64),
    ],
)
def test_digests(text, expected):
    assert str(parse_digest(text)) == expected


@pytest.mark.parametrize("text", ["", "a" * 63, "g" * 64, "sha1:" + "a" * 64, "md5:" + "a" * 32])
def test_what_is_no_digest(text):
    assert parse_digest(text) is None
