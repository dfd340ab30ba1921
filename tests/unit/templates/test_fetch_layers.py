"""Fetching layers: templates that are published without what they are made on."""

from __future__ import annotations

import hashlib
import json
import lzma
import subprocess
import threading

import pytest

from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.templates.fetch import fetch_template
from lago_sdk.templates.store import TemplateStore

WORDS = [b"of the base", b"of the layer", b"of the uppermost"]


class Publisher:
    """Makes images on each other, and a repository of them."""

    def __init__(self, tmp_path, server):
        self.path = tmp_path / "repos" / "lab.json"
        self.path.parent.mkdir()
        self.work = tmp_path / "work"
        self.work.mkdir()
        self.server = server
        self.templates = {}

    def add(self, name, version="1", *, on=None, below=None, compress=False, size="4M"):
        """Publish a qcow2 image; *on* is what it calls what is below it, which is *below*."""
        image = self.work / f"{name}-{version}.qcow2"
        base = [] if below is None else ["-F", "qcow2", "-b", str(below)]
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", *base, str(image)]
        subprocess.run([*argv, *([] if below else [size])], check=True)
        word = WORDS[len(self.templates)]
        offset = len(self.templates) << 20
        write = f"write -q -P {len(word)} {offset} 64k"
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", write, str(image)], check=True)
        if on is not None:
            argv = ["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", on]
            published = self.work / f"{name}-{version}.published"
            subprocess.run(["cp", image, published], check=True)
            subprocess.run([*argv, published], check=True)
        else:
            published = image
        self.publish(name, version, published.read_bytes(), compress=compress)
        return image

    def publish(self, name, version, content, *, compress=False):
        handle = f"{name}-{version}.qcow2"
        self.server.add(f"{handle}.hash", hashlib.sha256(content).hexdigest().encode())
        packed = lzma.compress(content, preset=0) if compress else content
        self.server.add(f"{handle}.xz" if compress else handle, packed)
        entry = {"source": "web", "handle": handle, "timestamp": len(self.templates)}
        self.templates.setdefault(name, {"versions": {}})["versions"][version] = entry
        source = {"type": "http", "args": {"baseurl": self.server.url}}
        document = {"name": "lab", "sources": {"web": source}, "templates": self.templates}
        self.path.write_text(json.dumps(document))


@pytest.fixture
def publisher(tmp_path, server):
    return Publisher(tmp_path, server)


def is_same(one, other):
    done = subprocess.run(["qemu-img", "compare", "-q", str(one), str(other)], check=False)
    return done.returncode == 0


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("repository", ["./", "./lab:"])
def test_what_is_below_is_fetched_too(publisher, server, config, compress, repository):
    base = publisher.add("base", compress=compress)
    middle = publisher.add("middle", on=f"{repository}base:1", below=base, compress=compress)
    top = publisher.add("top", on=f"{repository}middle:1", below=middle, compress=compress)
    template = fetch_template("top", config=config)
    store = TemplateStore(config.template_store)
    assert template.below == "middle:1"
    assert [layer.name for layer in store.list_layers(template)] == ["top", "middle", "base"]
    assert is_same(template.image.path, top)
    for layer in store.list_layers(template):
        store.verify(layer.name)
    assert list((config.template_store / ".tmp").iterdir()) == []
    end = ".xz" if compress else ""
    sizes = {name: len(server.files[f"{name}-1.qcow2{end}"].content) for name in ("top", "base")}
    assert {name: server.sent[f"{name}-1.qcow2{end}"] for name in sizes} == sizes  # once each


def test_what_is_in_the_store_is_used(publisher, server, config):
    base = publisher.add("base")
    publisher.add("top", on="base:1", below=base)
    fetch_template("base", config=config)
    assert fetch_template("top", config=config).below == "base:1"
    assert server.count("base-1.qcow2") == 1


def test_a_version_on_an_older_one_of_the_same_name(publisher, config):
    first = publisher.add("base", "1")
    second = publisher.add("base", "2", on="./base:1", below=first)
    template = fetch_template("base", "2", config=config)
    assert template.below == "base:1"
    assert is_same(template.image.path, second)


def test_many_at_once(publisher, server, config):
    base = publisher.add("base")
    publisher.add("top", on="base:1", below=base)
    found = []

    def fetch(name):
        found.append(fetch_template(name, config=config).reference)

    threads = [threading.Thread(target=fetch, args=(name,)) for name in ("top", "base") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["base:1"] * 3 + ["top:1"] * 3
    assert server.sent["base-1.qcow2"] == len(server.files["base-1.qcow2"].content)


def test_what_is_below_is_not_offered(publisher, server, config):
    base = publisher.add("base")
    publisher.add("top", on="./base:9", below=base)
    with pytest.raises(TemplateNotFoundError, match=r"top:1 is made on base:9, which cannot be"):
        fetch_template("top", config=config)
    assert TemplateStore(config.template_store).list() == ()


def test_templates_that_are_made_on_each_other(publisher, config):
    other = publisher.add("other")
    publisher.add("base", on="top:1", below=other)
    publisher.add("top", on="base:1", below=other)
    with pytest.raises(TemplateError, match=r"made on each other: top:1 on base:1"):
        fetch_template("top", config=config)


def test_a_layer_cannot_make_us_open_anything(publisher, config, tmp_path):
    base = publisher.add("base")
    publisher.add("top", on="/etc/base:1", below=base)
    template = fetch_template("top", config=config)  # the name counts, the place does not
    store = config.template_store
    assert template.image.backing == str(store / "base" / "1" / "image.qcow2")
    image = tmp_path / "evil.qcow2"
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 65536)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={secret}", str(image)]
    subprocess.run([*argv, "64k"], check=True)
    argv = ["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "base:1"]
    subprocess.run([*argv, str(image)], check=True)
    publisher.publish("evil", "1", image.read_bytes())
    with pytest.raises(TemplateError, match=r"evil-1\.qcow2 is no image .* refers to other files"):
        fetch_template("evil", config=config)
    assert TemplateStore(store).find_template("evil") is None
    assert not (store / ".tmp" / ".partial").exists()
