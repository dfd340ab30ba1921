"""Labs that were exported are the same labs elsewhere: data, addresses and all."""

import json
import subprocess

import attrs
import pytest

from lago_sdk import Compression, Config, ExportError, Prefix

DHCP = {"start": 100, "end": 254}
NETS = {"lan": {"management": True, "dhcp": DHCP, "dns_domain_name": "lab.test"}, "back": {}}
ROOT = {"type": "template", "template_name": "tiny", "name": "root", "size": "300M"}
DATA = {"type": "empty", "size": "64M", "name": "data"}
RAW = {"type": "empty", "size": "48M", "name": "raw", "format": "raw", "serial": "RAW1"}
SCRATCH = {"type": "empty", "size": "32M", "name": "scratch", "skip-export": True}
SCRIPT = "#!/bin/sh\necho deployed > /root/deployed\n"


def vm(*disks, **keys):
    nics = [{"net": "lan"}, {"net": "back"}]
    return {"memory": 192, "vcpu": 1, "nics": nics, "disks": [ROOT, *disks], **keys}


@attrs.frozen
class Exported:
    """Exports of one lab, which is no more."""

    layered: object
    standalone: object
    appliances: object
    ips: dict


@pytest.fixture(scope="module")
def exported(tmp_path_factory, host, tiny):
    home = tmp_path_factory.mktemp("export")
    script = home / "setup.sh"
    script.write_text(SCRIPT)
    spec = {
        "domains": {
            "web": vm(DATA, SCRATCH, metadata={"deploy-scripts": [str(script)]}),
            "db": vm(RAW),
        },
        "nets": NETS,
    }
    with Prefix.create(spec, workdir=home / "lab", config=Config.load({"host": host})) as lab:
        lab.start()
        for name, machine in lab.vms.items():
            machine.ssh(f"echo {name} > /root/note; echo {name} > /dev/vdb; sync").check()
        with pytest.raises(ExportError, match="web, db are not off"):
            lab.export(home / "early")
        lab.shutdown()
        found = Exported(
            layered=lab.export(home / "layered", compress="xz", scripts=True),
            standalone=lab.export(home / "standalone", standalone=True, compress=Compression.ZSTD),
            appliances=lab.export(home / "appliances", ova=True),
            ips={name: machine.ips for name, machine in lab.vms.items()},
        )
    # Elsewhere is also where the first lab is no more: its subnet is free again.
    yield found
    assert not (home / "early").exists()
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def check(lab, exported, *, data="/dev/vdb"):
    for name, machine in lab.vms.items():
        assert machine.ssh("cat /root/note").check().out.strip() == name
        assert machine.ssh(f"head -c {len(name)} {data}").check().out == name
        assert machine.ips == exported.ips[name]
    assert lab.vms["web"].ssh("ping -c 1 db").check()


def test_layers_are_imported_and_boot(exported, tmp_path, lagoctl):
    report = exported.layered
    assert [disk.base is None for disk in report.disks] == [False, True, False, True]
    assert report.size < 4 << 20
    done = lagoctl("import", str(report.directory))
    assert "sha256 verified" in done.stderr
    with Prefix.find(tmp_path / "shell") as lab:
        lab.start()
        check(lab, exported)
        lab.deploy()
        assert lab.vms["web"].ssh("cat /root/deployed").check().out == "deployed\n"
        assert [disk.name for disk in lab.plan.vms[0].disks] == ["root", "data"]
        assert lab.plan.vms[1].disks[1].spec.serial == "RAW1"


def test_whole_images_are_what_init_begins_with(exported, tmp_path, config, make_prefix):
    init_file = exported.standalone.init_file
    offline = attrs.evolve(config, template_store=tmp_path / "empty", template_repo_path=())
    lab = make_prefix(init_file, config=offline)
    lab.start()
    check(lab, exported)


def test_appliances_are_imported_and_boot(exported, tmp_path, config):
    report = exported.appliances
    assert {path.name for path in report.directory.glob("*.ova")} == {"web.ova", "db.ova"}
    with Prefix.load_export(report.directory, workdir=tmp_path / "lab", config=config) as lab:
        lab.start()
        check(lab, exported)


@pytest.mark.private_only
@pytest.mark.root_only
class TestOff:
    """What needs no boot."""

    @pytest.mark.parametrize("compress", [None, "zstd"])
    @pytest.mark.parametrize("standalone", [False, True])
    def test_every_way_keeps_what_is_on_the_disks(
        self, standalone, compress, exported, tmp_path, config
    ):
        first = Prefix.load_export(
            exported.layered.directory, workdir=tmp_path / "a", config=config
        )
        with first as lab:
            target = tmp_path / "out"
            report = lab.export(target, standalone=standalone, compress=compress)
        layered = {disk.disk for disk in report.disks if disk.base is not None}
        assert layered == (set() if standalone else {"root"})
        for lab in (
            Prefix.load_export(target, workdir=tmp_path / "b", config=config),
            Prefix.create(report.init_file, workdir=tmp_path / "c", config=config),
        ):
            with lab:
                for name, machine in lab.vms.items():
                    found = tmp_path / "found"
                    machine.extract_paths([("/root/note", found)])
                    assert found.read_text().strip() == name

    def test_an_import_needs_the_export_no_longer(self, exported, tmp_path, config):
        target = tmp_path / "moved"
        subprocess.run(["cp", "-a", exported.layered.directory, target], check=True)
        with Prefix.load_export(target, workdir=tmp_path / "lab", config=config) as lab:
            subprocess.run(["rm", "-r", target], check=True)
            lab.vms["web"].extract_paths([("/root/note", tmp_path / "found")])

    def test_lagos_repositories_serve_exported_images(self, exported, tmp_path, config):
        repository = {
            "name": "exports",
            "sources": {
                "here": {"type": "file", "args": {"root": str(exported.standalone.directory)}}
            },
            "templates": {
                "web": {
                    "versions": {
                        "1": {"source": "here", "handle": "web_root.qcow2", "timestamp": 1}
                    }
                }
            },
        }
        path = tmp_path / "repository.json"
        path.write_text(json.dumps(repository))
        settings = attrs.evolve(
            config, template_store=tmp_path / "store", template_repo_path=(str(path),)
        )
        spec = {
            "domains": {
                "web": {"nics": [{"net": "lan"}], "disks": [{**ROOT, "template_name": "web"}]}
            },
            "nets": {"lan": {}},
        }
        with Prefix.create(spec, workdir=tmp_path / "lab", config=settings) as lab:
            lab.vms["web"].extract_paths([("/root/note", tmp_path / "found")])
        assert (tmp_path / "found").read_text() == "web\n"

    def test_vms_by_name_and_what_is_said(self, tmp_path, lagoctl):
        spec = {"domains": {"web": vm(DATA), "db": vm(**{"skip-export": True})}, "nets": NETS}
        (tmp_path / "shell" / "LagoInitFile").write_text(json.dumps(spec))
        lagoctl("init")
        done = lagoctl("export", "one", "--format", "json")
        assert set(json.loads(done.stdout)) == {"web", "init-file"}
        lagoctl("import", "../shell/one", "--prefix-name", "again")
        done = lagoctl("export", "two", "db", "-s")
        assert "db_root.qcow2" in done.stdout
        assert "exported db to" in done.stderr
        done = lagoctl("export", "one", code=2)
        assert "is there already, and not empty" in done.stderr
        done = lagoctl("export", "three", "nobody", code=2)
        assert "there are: db, web" in done.stderr or "did you mean" in done.stderr
        done = lagoctl("export", "no/such/place", code=2)
        assert "there is no directory" in done.stderr
        done = lagoctl("import", "nowhere", code=2)
        assert "is no export" in done.stderr

    def test_an_appliance_is_what_others_read(self, exported, tmp_path):
        archive = exported.appliances.directory / "db.ova"
        listed = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True)
        assert listed.stdout.split() == ["db.ovf", "db.mf", "db-disk1.vmdk", "db-disk2.vmdk"]
        subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
        checked = [
            line.replace("SHA256(", "").split(")= ")
            for line in (tmp_path / "db.mf").read_text().splitlines()
        ]
        sums = "".join(f"{digest}  {name}\n" for name, digest in checked)
        subprocess.run(["sha256sum", "-c"], input=sums, cwd=tmp_path, text=True, check=True)
        info = subprocess.run(
            ["qemu-img", "info", "--output=json", tmp_path / "db-disk1.vmdk"],
            capture_output=True,
            check=True,
        )
        data = json.loads(info.stdout)["format-specific"]["data"]
        assert data["create-type"] == "streamOptimized"
