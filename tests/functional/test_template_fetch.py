"""What is fetched is booted: vendors and repositories on 127.0.0.1, by the command line."""

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import pytest

from functional.conftest import Lagoctl
from lago_sdk import Config, export_template

# Fetching is our own; which host boots the result does not matter to it.
pytestmark = [
    pytest.mark.functional,
    pytest.mark.root_only,
    pytest.mark.private_only,
    pytest.mark.timeout(300),
]

INIT_FILE = """\
domains:
  solo:
    memory: 192
    nics: [{net: lan}]
    disks: [{type: template, name: root, dev: vda, template_name: lab-tiny}]
nets:
  lan: {type: nat, management: true}
"""


@attrs.define
class Vendor:
    """A server of images, what it serves, and the store of who asks it."""

    url: str
    files: Path
    store: Path
    asked: list[str] = attrs.Factory(list)

    def write_repository(self, name: str, **version: object) -> str:
        """Publish the image as template *name*; returns the URL of the repository."""
        entry = {"source": "here", "handle": "tiny.qcow2", "timestamp": 1700000000, **version}
        document = {
            "name": "lab",
            "sources": {"here": {"type": "http", "args": {"baseurl": f"{self.url}/images/"}}},
            "templates": {name: {"versions": {str(entry["timestamp"]): entry}}},
        }
        (self.files / "repo.json").write_text(json.dumps(document))
        return f"{self.url}/repo.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, tiny: str, base_config: Config) -> Path:
    """A vendor's files: tiny compressed with xz, and the digests of what can be downloaded."""
    files = tmp_path_factory.mktemp("vendor")
    images = files / "images"
    images.mkdir()
    plain = export_template(tiny, target=images / "tiny.qcow2", config=base_config).image
    subprocess.run(["xz", "-0", plain], check=True)  # as ours would, in a tenth of the time
    image = plain.with_name(f"{plain.name}.xz")
    sum256 = hashlib.sha256(image.read_bytes()).hexdigest()
    (images / "SHA256SUMS").write_text(f"{'0' * 64}  other.qcow2.xz\n{sum256} *{image.name}\n")
    return files


@pytest.fixture
def vendor(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: str
) -> Iterator[Vendor]:
    """That vendor's server, known to a catalogue; the store is empty."""
    found = Vendor(url="", files=published, store=tmp_path / "store")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            found.asked.append(f"{self.command} {self.path}")

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(published)))
    found.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    catalogue = tmp_path / "vendors.yaml"
    entry = {
        "url": f"{found.url}/images/tiny.qcow2.xz",
        "arches": ["x86_64"],
        "checksums": f"{found.url}/images/SHA256SUMS",
        "user": "root",
        "cloud-init": False,
    }
    catalogue.write_text(json.dumps({"vendor-tiny": entry}))
    monkeypatch.setenv("LAGO_TEMPLATE_STORE", str(found.store))
    monkeypatch.setenv("LAGO_CATALOGUE_PATH", str(catalogue))
    yield found
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_vendors_image_by_name_of_the_catalogue(vendor: Vendor, lagoctl: Lagoctl) -> None:
    listed = json.loads(lagoctl("-f", "json", "template", "list", "--catalogue").stdout)
    assert "vendor-tiny" in [entry["name"] for entry in listed]
    image = Path(lagoctl("template", "fetch", "vendor-tiny").stdout.strip())
    assert image.is_relative_to(vendor.store)
    found = json.loads(lagoctl("-f", "json", "template", "info", "vendor-tiny").stdout)
    assert found["metadata"]["ssh-user"] == "root"
    assert found["metadata"]["origin"]["url"] == f"{vendor.url}/images/tiny.qcow2.xz"
    subprocess.run(["qemu-img", "check", "-q", image], check=True)
    assert image.stat().st_mode & 0o777 == 0o444
    vendor.asked.clear()
    assert lagoctl("template", "fetch", "vendor-tiny").stdout.strip() == str(image)
    assert not any("tiny.qcow2" in line for line in vendor.asked if line.startswith("GET"))
    assert "nothing newer" in lagoctl("template", "outdated").stderr


def test_init_fetches_what_the_store_lacks_and_it_boots(
    vendor: Vendor, lagoctl: Lagoctl, tmp_path: Path
) -> None:
    repository = vendor.write_repository("lab-tiny", timestamp=1700000000)
    init_file = tmp_path / "LagoInitFile"
    init_file.write_text(INIT_FILE)
    lagoctl("init", "--template-repo-path", repository, str(init_file))
    assert [line for line in vendor.asked if line == "GET /images/tiny.qcow2.xz"]
    lagoctl("start")
    assert lagoctl("shell", "solo", "hostname").stdout.strip() == "solo"
    lagoctl("template", "verify", "lab-tiny")
    # A newer version, then the same version with another content, as publishers do.
    vendor.write_repository("lab-tiny", timestamp=1800000000)
    told = lagoctl("template", "outdated", "--template-repo-path", repository).stdout
    assert "1700000000" in told
    assert "1800000000" in told
    vendor.write_repository("lab-tiny", timestamp=1700000000, digest=f"sha256:{'ab' * 32}")
    assert "lab-tiny" in lagoctl("template", "outdated", "--template-repo-path", repository).stdout
    # What the prefix uses stays, whatever is published.
    assert "used by" in lagoctl("template", "rm", "lab-tiny", code=2).stderr


def test_a_mirror_with_another_image_is_refused(
    vendor: Vendor, lagoctl: Lagoctl, tmp_path: Path
) -> None:
    wrong = "ab" * 32
    repository = vendor.write_repository("lab-tiny", digest=f"sha256:{wrong}")
    arguments = ("--template-repo-path", repository)
    init_file = tmp_path / "LagoInitFile"
    init_file.write_text(INIT_FILE)
    right = hashlib.sha256((vendor.files / "images" / "tiny.qcow2.xz").read_bytes()).hexdigest()
    for words in (("template", "fetch", "lab-tiny"), ("init", str(init_file))):
        refused = lagoctl(*words, *arguments, code=2)
        assert refused.stdout == ""
        assert "Traceback" not in refused.stderr
        (told,) = [line for line in refused.stderr.splitlines() if line.startswith("error")]
        assert wrong in told
        assert right in told
        assert "removed" in refused.stderr
    assert json.loads(lagoctl("-f", "json", "template", "list").stdout) == []
    left = [path.name for path in vendor.store.rglob("*") if path.is_file()]
    assert all(name.endswith(".lock") for name in left), left
    assert not os.path.lexists(vendor.store / "lab-tiny")
    assert not (tmp_path / "shell" / ".lago").exists()
