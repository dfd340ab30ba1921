"""The catalogue: its data, the checksum files of vendors, signatures, and whole fetches."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lago_sdk.config import Config
from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.templates import catalogue as catalogue_module
from lago_sdk.templates.catalogue_files import parse_catalogue
from lago_sdk.templates.checksums import find_checksum, parse_checksums
from lago_sdk.templates.fetch import FetchedTemplates, fetch_template
from lago_sdk.templates.sources import list_catalogue, list_outdated
from lago_sdk.templates.store import TemplateStore

SHA256, SHA512, MD5 = "ab" * 32, "cd" * 64, "ef" * 16
BUNDLED = {entry.name: entry for entry in list_catalogue(Config(template_repos=Path("/nowhere")))}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "vendor.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "2M"], check=True)
    return path.read_bytes()


@pytest.fixture
def config(tmp_path, server):
    return Config(
        template_store=tmp_path / "store",
        template_repos=tmp_path / "repos",
        catalogue_mirror=server.url,
        download_attempts=1,
    )


def coreutils(name, content, algorithm):
    return f"{hashlib.new(algorithm, content).hexdigest()}  {name}\n"


def starred(name, content, algorithm):
    return f"{SHA256} *other.img\n{hashlib.new(algorithm, content).hexdigest()} *{name}\n"


def bsd(name, content, algorithm):
    value = hashlib.new(algorithm, content).hexdigest()
    return f"# {name}: {len(content)} bytes\n{algorithm.upper()} ({name}) = {value}\n"


def clearsigned(name, content, algorithm):
    body = bsd(name, content, algorithm)
    signature = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    return f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{body}{signature}"


def of_the_build(name, content, algorithm):
    return coreutils(name.replace("Cloud", "16.0-Cloud-Build1.2"), content, algorithm)


def bare(name, content, algorithm):
    return hashlib.new(algorithm, content).hexdigest()


STYLES = {
    "debian": (coreutils, "sha512"),
    "ubuntu": (starred, "sha256"),
    "fedora": (clearsigned, "sha256"),
    "centos": (bsd, "sha256"),
    "alma": (coreutils, "sha256"),
    "rocky": (bsd, "sha256"),
    "opensuse": (of_the_build, "sha256"),
    "alpine": (bare, "sha512"),
    "arch": (coreutils, "sha256"),
    "cirros": (coreutils, "sha256"),
}
"""How each vendor publishes checksums."""


def play_vendor(server, name, content, arch="x86_64"):
    """Put an image of the bundled catalogue and its checksums below the mirror."""
    offer = BUNDLED[name].offer(arch=arch, mirror=server.url)
    style, algorithm = STYLES[name.partition("-")[0]]
    path = urlsplit(offer.url).path.lstrip("/")
    server.add(path, content)
    assert BUNDLED[name].checksums
    checksums = offer._place(BUNDLED[name].checksums).removeprefix(f"{server.url}/")
    server.add(checksums, style(path.rpartition("/")[2], content, algorithm).encode())
    signature = BUNDLED[name].signature
    if signature is not None and signature.url is not None:
        place = offer._place(signature.url).removeprefix(f"{server.url}/")
        server.add(place, b"no signature of theirs")
    return checksums


class TestData:
    def test_the_families_that_people_ask_for_are_there(self):
        wanted = {
            "debian-11", "debian-12", "debian-13", "ubuntu-20.04", "ubuntu-22.04", "ubuntu-24.04",
            "centos-stream-9", "centos-stream-10", "alma-8", "alma-9", "alma-10", "rocky-8",
            "rocky-9", "rocky-10", "opensuse-tumbleweed", "arch", "cirros",
        }  # fmt: skip
        assert wanted <= BUNDLED.keys()
        for family in ("fedora-", "alpine-", "opensuse-leap-"):
            assert any(name.startswith(family) for name in BUNDLED)

    @pytest.mark.parametrize("name", sorted(BUNDLED))
    def test_every_url_is_encrypted_and_complete(self, name):
        entry = BUNDLED[name]
        assert entry.checksums
        for arch in entry.arches:
            offer = entry.offer(arch=arch)
            for url in (offer.url, offer._place(entry.checksums)):
                assert url.startswith("https://")
                assert "{" not in url
        assert "x86_64" in entry.arches
        if entry.signature is not None:
            assert all(len(key) == 40 for key in entry.signature.keys)

    @pytest.mark.parametrize("name", sorted(BUNDLED))
    def test_each_is_fetched_from_a_server_that_plays_its_vendor(
        self, name, server, image, config, monkeypatch
    ):
        monkeypatch.setattr(catalogue_module.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr("lago_sdk.templates.signatures.find_tool", lambda _: None)
        play_vendor(server, name, image)
        template = fetch_template(name, config=config)
        assert Path(template.image.path).read_bytes() == image
        assert template.image.size == 2 << 20
        facts = template.image.metadata
        assert facts["arch"] == "x86_64"
        assert facts["ssh-user"] == BUNDLED[name].user
        assert facts["origin"]["url"].startswith(server.url)

    def test_an_architecture_that_the_vendor_has_not(self):
        with pytest.raises(TemplateNotFoundError, match="no 'arch' for riscv64") as caught:
            BUNDLED["arch"].offer(arch="riscv64")
        assert caught.value.hint == "there is: x86_64"


class TestChecksums:
    def test_forms(self):
        text = f"{SHA256}  a\n{SHA512} *dir/b\nSHA512 (c) = {SHA512}\nSHA256(d)= {SHA256}\n"
        found = {name: digest.algorithm.value for name, digest in parse_checksums(text)}
        assert found == {"a": "sha256", "b": "sha512", "c": "sha512", "d": "sha256"}

    def test_what_is_no_checksum_is_passed_over(self):
        text = f"# note\n\n{MD5}  a\nMD5 (a) = {MD5}\nSHA256 (a) = {SHA512}\nHash: SHA256\n"
        assert parse_checksums(text) == ()

    def test_the_strongest_of_the_file_is_taken(self):
        text = f"SHA256 (a) = {SHA256}\nSHA512 (a) = {SHA512}\nSHA1 (a) = {'1' * 40}\n"
        assert str(find_checksum(text, "a")) == f"sha512:{SHA512}"

    def test_sha1_alone_is_not_enough(self):
        assert find_checksum(f"{'1' * 40}  a", "a") is None

    def test_a_lone_one_may_have_another_name(self):
        assert str(find_checksum(f"{SHA256}  build-1", "latest")) == f"sha256:{SHA256}"
        assert find_checksum(f"{SHA256}  x\n{SHA256}  y\n", "latest") is None


class TestFetching:
    @pytest.fixture(autouse=True)
    def on_x86(self, monkeypatch):
        monkeypatch.setattr(catalogue_module.platform, "machine", lambda: "x86_64")

    def test_the_version_is_the_beginning_of_the_digest(self, server, image, config):
        play_vendor(server, "debian-12", image)
        template = fetch_template("debian-12", config=config)
        assert template.version == hashlib.sha512(image).hexdigest()[:12]
        assert fetch_template("debian-12", template.version, config=config) == template

    def test_a_wrong_checksum_names_both(self, server, image, config):
        play_vendor(server, "debian-12", image)
        path = next(path for path in server.files if path.endswith(".qcow2"))
        server.files[path].content = image + b"x"
        with pytest.raises(TemplateError) as caught:
            fetch_template("debian-12", config=config)
        assert hashlib.sha512(image).hexdigest() in caught.value.message
        assert hashlib.sha512(image + b"x").hexdigest() in caught.value.message

    def test_no_checksum_of_the_image(self, server, image, config):
        server.files[play_vendor(server, "debian-12", image)].content = b"sorry, we moved\n"
        with pytest.raises(TemplateError, match=r"has no SHA-256 or SHA-512 of debian-12"):
            fetch_template("debian-12", config=config)

    def test_an_old_version_is_not_published_any_more(self, server, image, config):
        play_vendor(server, "debian-12", image)
        with pytest.raises(TemplateNotFoundError, match="not published any more"):
            fetch_template("debian-12", "0123456789ab", config=config)

    def test_get_fetches_only_what_the_store_lacks(self, server, image, config):
        checksums = play_vendor(server, "debian-12", image)
        store = TemplateStore(config.template_store)
        templates = FetchedTemplates(store, config=config, observer=[].append)
        assert templates.find("debian-12") is None
        got = templates.get("debian-12")
        assert templates.get("debian-12") == templates.find("debian-12") == got
        assert server.count(checksums) == 1

    def test_outdated_ones_are_noticed(self, server, image, config):
        checksums = play_vendor(server, "debian-12", image)
        old = fetch_template("debian-12", config=config)
        assert list_outdated(config) == ()
        play_vendor(server, "debian-12", image + bytes(512))
        (found,) = list_outdated(config)
        assert (found.name, found.version) == ("debian-12", old.version)
        assert found.published != old.version
        notes = []
        del server.files[checksums]
        assert list_outdated(config, observer=notes.append) == ()
        assert "debian-12 is not checked" in notes[0].message


class TestOwnFiles:
    ENTRY = "url: https://example.org/x.qcow2\n  arches: [x86_64]\n  user: me\n"

    def test_own_entries_win(self, tmp_path):
        repos = tmp_path / "repos"
        repos.mkdir()
        text = f"debian-12:\n  {self.ENTRY}  digest: sha256:{SHA256}\n"
        (repos / "own.yaml").write_text(text)
        named = tmp_path / "named.json"
        value = f'"url": "https://example.org/y", "user": "me", "digest": "{SHA256}"'
        named.write_text(f'{{"arch": {{{value}, "arches": {{"x86_64": "amd64"}}}}}}')
        config = Config(template_repos=repos, catalogue_path=(str(named),))
        found = {entry.name: entry for entry in list_catalogue(config)}
        assert found["debian-12"].url == "https://example.org/x.qcow2"
        assert found["arch"].arches == {"x86_64": "amd64"}
        assert found["debian-11"] == BUNDLED["debian-11"]

    def test_a_broken_one_of_the_directory_is_passed_over_with_a_warning(self, tmp_path):
        (tmp_path / "own.yaml").write_text("mine: 5\n")
        notes = []
        found = list_catalogue(Config(template_repos=tmp_path), observer=notes.append)
        assert len(found) == len(BUNDLED)
        assert isinstance(notes[0], Note)
        assert "own.yaml: mine: expected a map" in notes[0].message

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("[]", "no catalogue: expected a map"),
            ("a: [", r"own\.yaml:\d+: "),
            ("mine: {}", r"mine\.arches: expected a value"),
            (f"mine:\n  {ENTRY}", r"mine\.checksums: expected this or 'digest'"),
            (f"mine:\n  {ENTRY}  digest: abc", r"mine\.digest: expected sha256: or sha512:"),
            (f"mine:\n  {ENTRY}  digest: {SHA256}\n  memory: many", "a number of MiB"),
            (f"mine:\n  {ENTRY}  digest: {SHA256}\n  firmware: [uefi]", "'bios' and 'efi'"),
            (f"mine:\n  {ENTRY}  digest: {SHA256}\n  cloud-init: 5", "true or false"),
            (f"mine:\n  {ENTRY}  checksum: x", "there is no key 'checksum'"),
            ("../x: {}", "cannot be the name"),
        ],
    )
    def test_what_is_wrong_says_where(self, text, expected):
        with pytest.raises(TemplateError, match=expected):
            parse_catalogue(text, "own.yaml")


class TestSignatures:
    @pytest.fixture
    def key(self, tmp_path, monkeypatch):
        home = tmp_path / "gpg"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("GNUPGHOME", str(home))
        self.gpg("--passphrase", "", "--quick-gen-key", "Vendor <v@example.org>", "ed25519")
        listed = self.gpg("--with-colons", "--list-keys").stdout.decode()
        yield next(x.split(":")[9] for x in listed.splitlines() if x.startswith("fpr"))
        subprocess.run(["gpgconf", "--kill", "all"], check=True)

    def gpg(self, *words, data=None):
        argv = ["gpg", "--batch", "--yes", "-q", *words]
        return subprocess.run(argv, input=data, capture_output=True, check=True)

    def publish(self, server, tmp_path, image, key, *, clear):
        sums = coreutils("x.qcow2", image, "sha256").encode()
        server.add("example.org/x.qcow2", image)
        if clear:
            sums, where = self.gpg("--clear-sign", data=sums).stdout, ""
        else:
            signature = self.gpg("--detach-sign", data=sums).stdout
            server.add("example.org/SUMS.gpg", signature)
            where = "    url: https://example.org/SUMS.gpg\n"
        file = server.add("example.org/SUMS", sums)
        (tmp_path / "repos").mkdir()
        (tmp_path / "repos" / "own.yaml").write_text(
            f"mine:\n  url: https://example.org/x.qcow2\n  arches: [{os.uname().machine}]\n"
            f"  user: me\n  checksums: https://example.org/SUMS\n"
            f"  signature:\n{where}    keys: [{key}]\n"
        )
        return file

    @pytest.mark.parametrize("clear", [True, False])
    def test_a_good_one_is_told(self, server, tmp_path, image, config, key, clear):
        self.publish(server, tmp_path, image, key, clear=clear)
        notes = []
        fetch_template("mine", config=config, observer=notes.append)
        told = [note.message for note in notes if isinstance(note, Note)]
        assert told == ["the checksums of mine are signed by the vendor"]

    @pytest.mark.parametrize("clear", [True, False])
    def test_a_bad_one_is_an_error(self, server, tmp_path, image, config, key, clear):
        file = self.publish(server, tmp_path, image, key, clear=clear)
        file.content = file.content.replace(b"x.qcow2", b"y.qcow2")
        with pytest.raises(TemplateError, match=r"signature of .* is bad"):
            fetch_template("mine", config=config)

    def test_what_stands_outside_the_signed_part_does_not_count(
        self, server, tmp_path, image, config, key
    ):
        file = self.publish(server, tmp_path, image + b"x", key, clear=True)
        server.add("example.org/x.qcow2", image)
        file.content += coreutils("x.qcow2", image, "sha256").encode()
        with pytest.raises(TemplateError):
            fetch_template("mine", config=config)

    def test_another_key_is_an_error(self, server, tmp_path, image, config, key):
        self.publish(server, tmp_path, image, "A" * 40, clear=False)
        with pytest.raises(TemplateError, match="which is not the vendor's"):
            fetch_template("mine", config=config)

    def test_without_the_key_it_is_said_plainly(
        self, server, tmp_path, image, config, key, monkeypatch
    ):
        self.publish(server, tmp_path, image, key, clear=False)
        other = tmp_path / "empty"
        other.mkdir(mode=0o700)
        with monkeypatch.context() as patch:
            patch.setenv("GNUPGHOME", str(other))
            notes = []
            fetch_template("mine", config=config, observer=notes.append)
        told = " ".join(note.message for note in notes if isinstance(note, Note))
        assert "is not checked: gpg does not have the vendor's key" in told

    def test_a_signature_that_is_not_there(self, server, tmp_path, image, config, key):
        self.publish(server, tmp_path, image, key, clear=False)
        del server.files["example.org/SUMS.gpg"]
        with pytest.raises(TemplateError, match=r"should be signed, but there is no"):
            fetch_template("mine", config=config)
