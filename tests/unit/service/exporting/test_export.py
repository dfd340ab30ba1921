"""Exports on fakes: what is in them, and that an import is the same lab."""

import json

import attrs
import pytest
from fake_labs import DISK, LAN, lab_spec, make_lab, vm

from lago_sdk.errors import ExportError, ImageError, VMNotFoundError
from lago_sdk.ports import Compression
from lago_sdk.service.exporting.load import ExportTools, load_export
from lago_sdk.service.exporting.manifest import load_manifest
from lago_sdk.spec.disk import FileDisk, TemplateDisk, TemplateType
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.testing import make_prefix, make_world

EMPTY = {"type": "empty", "size": "1G", "name": "data"}
RAW = {**EMPTY, "format": "raw", "name": "raw"}


def take_in(directory, world):
    tools = ExportTools(
        images=world.images,
        packer=world.packer,
        templates=world.templates,
        observe=world.observe,
        cpus=2,
    )
    return load_export(directory, tools)


def addresses(prefix):
    return {vm.name: [(nic.net, nic.ip, nic.mac) for nic in vm.nics] for vm in prefix.plan.vms}


@pytest.mark.parametrize("choice", [{}, {"standalone": True}, {"compress": "xz"}])
@pytest.mark.parametrize("by_init", [False, True])
def test_what_is_made_of_an_export_is_the_same_lab(choice, by_init, tmp_path):
    spec = lab_spec(web=vm("lan", "back", disks=[DISK, EMPTY]), db=vm("lan", disks=[DISK, RAW]))
    lab, world = make_lab(tmp_path, spec)
    report = lab.export(tmp_path / "out", **choice)
    found = PrefixSpec.load(report.init_file) if by_init else take_in(report.directory, world)
    again = make_prefix(found, tmp_path / "again", world=make_world())
    assert addresses(again) == addresses(lab)
    assert [net.subnet for net in again.plan.nets] == [net.subnet for net in lab.plan.nets]
    for old, new in zip(lab.plan.vms, again.plan.vms, strict=True):
        assert [(x.name, x.dev, x.bus, x.format) for x in new.disks] == [
            (x.name, x.dev, x.bus, x.format) for x in old.disks
        ]
        assert (new.ssh_user, new.distro, new.spec.memory) == (
            old.ssh_user,
            old.distro,
            old.spec.memory,
        )


def test_facts_of_the_template_go_with_the_disk(tmp_path):
    from lago_sdk.testing import FakeTemplates

    facts = {"ssh-user": "ann", "distro": "debian", "origin": {"kind": "x"}, "packages": {"a": "1"}}
    lab, _ = make_lab(tmp_path, world=make_world(templates=FakeTemplates(metadata=facts)))
    report = lab.export(tmp_path / "out")
    (first, *_) = PrefixSpec.load(report.init_file).vms
    assert set(first.disks[0].metadata) == {"ssh-user", "distro", "base", "base-digest"}
    again = make_prefix(report.init_file, tmp_path / "again")
    assert again.plan.vms[0].ssh_user == "ann"
    beside = json.loads((report.directory / "web_root.qcow2.metadata").read_text())
    assert beside["packages"] == {"a": "1"}
    assert beside["name"] == "web_root"


def test_the_record_lists_every_file(tmp_path):
    lab, _ = make_lab(tmp_path)
    report = lab.export(tmp_path / "out", compress=Compression.ZSTD)
    manifest = load_manifest(tmp_path / "out" / "export.json")
    names = {path.name for path in report.directory.iterdir()}
    assert set(manifest.files) == names - {"export.json"}
    assert set(manifest.templates) == {"tiny:latest"}
    assert report.paths["web"] == (report.directory / "web_root.qcow2.zst",)
    assert report.disks[0].base == "tiny:latest"


def test_whole_images_have_a_digest_that_templates_are_known_by(tmp_path):
    lab, world = make_lab(tmp_path)
    report = lab.export(tmp_path / "out", standalone=True)
    disk = report.disks[0]
    told = (report.directory / "web_root.qcow2.hash").read_text().strip()
    assert disk.digest == f"sha256:{told}"
    assert world.packer.make_digest(disk.path, progress=lambda *_: None) == disk.digest


def test_scripts_kernels_and_what_is_skipped(tmp_path):
    script, kernel = tmp_path / "setup.sh", tmp_path / "vmlinuz"
    script.write_text("true")
    kernel.write_text("kernel")
    spec = lab_spec(
        web=vm(
            disks=[DISK, {**EMPTY, "skip-export": True}],
            kernel=str(kernel),
            metadata={"deploy-scripts": [str(script)]},
        ),
        db=vm(**{"skip-export": True}),
    )
    lab, world = make_lab(tmp_path, spec)
    report = lab.export(tmp_path / "plain")
    assert report.vms == ("web",)
    assert [disk.disk for disk in report.disks] == ["root"]
    found = take_in(report.directory, world)
    assert found.vms[0].kernel == str(report.directory / "file_vmlinuz")
    assert found.vms[0].deploy_scripts == ()
    report = lab.export(tmp_path / "scripts", scripts=True)
    (name,) = take_in(report.directory, world).vms[0].deploy_scripts
    assert name.startswith(str(report.directory))
    assert lab.export(tmp_path / "named", vms="db").vms == ("db",)


def test_disks_become_copies_by_import_and_overlays_by_init(tmp_path):
    lab, world = make_lab(tmp_path)
    report = lab.export(tmp_path / "out")
    disk = PrefixSpec.load(report.init_file).vms[0].disks[0]
    assert isinstance(disk, TemplateDisk)
    assert disk.template_type is TemplateType.QCOW2
    copy = take_in(report.directory, world).vms[0].disks[0]
    assert isinstance(copy, FileDisk)
    assert copy.make_a_copy


def test_passwords_of_the_settings_stay_here_and_those_of_the_file_are_guarded(tmp_path):
    world = make_world()
    world = attrs.evolve(world, config=attrs.evolve(world.config, default_root_password="settings"))
    lab, _ = make_lab(tmp_path, world=world)
    init_file = lab.export(tmp_path / "out").init_file
    assert "settings" not in init_file.read_text()
    assert init_file.stat().st_mode & 0o777 == 0o644
    spec = lab_spec(web=vm(**{"root-password": "secret"}))
    lab, _ = make_lab(tmp_path, spec, name="second")
    init_file = lab.export(tmp_path / "guarded").init_file
    assert "secret" in init_file.read_text()
    assert init_file.stat().st_mode & 0o777 == 0o600


class TestRefused:
    def test_vms_that_run(self, tmp_path):
        lab, _ = make_lab(tmp_path)
        lab.start()
        with pytest.raises(ExportError, match="web, db are not off") as caught:
            lab.export(tmp_path / "out")
        assert caught.value.hint == "lagoctl shutdown web db"
        lab.stop("web")
        with pytest.raises(ExportError, match="'db' is running"):
            lab.export(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        lab.export(tmp_path / "out", vms="web")

    def test_places_that_are_taken(self, tmp_path):
        lab, _ = make_lab(tmp_path)
        (tmp_path / "empty").mkdir()
        lab.export(tmp_path / "empty")
        with pytest.raises(ExportError, match="not empty"):
            lab.export(tmp_path / "empty")
        (tmp_path / "file").touch()
        with pytest.raises(ExportError, match="is no directory"):
            lab.export(tmp_path / "file")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        with pytest.raises(ExportError, match="is no directory"):
            lab.export(tmp_path / "link")
        with pytest.raises(ExportError, match="mkdir -p"):
            lab.export(tmp_path / "no" / "such" / "place")

    def test_nothing_to_export_and_unknown_names(self, tmp_path):
        spec = lab_spec(web=vm(disks=[{**DISK, "skip-export": True}]))
        lab, _ = make_lab(tmp_path, spec)
        with pytest.raises(ExportError, match="nothing to export"):
            lab.export(tmp_path / "out")
        with pytest.raises(VMNotFoundError):
            lab.export(tmp_path / "out", vms="wbe")
        with pytest.raises(ExportError, match="compressed as they are"):
            lab.export(tmp_path / "out", ova=True, compress="xz")

    def test_a_failure_leaves_nothing(self, tmp_path, monkeypatch):
        lab, world = make_lab(tmp_path)

        def fail(*_, **__):
            raise ImageError("it broke")

        monkeypatch.setattr(type(world.images), "flatten", fail)
        before = set(tmp_path.iterdir())
        with pytest.raises((ExceptionGroup, ImageError)):
            lab.export(tmp_path / "out", standalone=True)
        assert set(tmp_path.iterdir()) == before

    def test_what_a_killed_export_left_is_removed(self, tmp_path):
        lab, _ = make_lab(tmp_path)
        left = tmp_path / f".out.{lab.uuid[:8]}.part"
        left.mkdir()
        (left / "half").touch()
        lab.export(tmp_path / "out")
        assert not left.exists()


def test_appliances_hold_the_disks_and_the_init_file_the_rest(tmp_path):
    iso = tmp_path / "tools.iso"
    world = make_world()
    iso.write_text("iso")
    cd = {"type": "file", "path": str(iso), "format": "iso", "name": "cd", "make_a_copy": True}
    spec = lab_spec(web=vm(disks=[DISK, EMPTY, cd]))
    lab, _ = make_lab(tmp_path, spec, world=world)
    report = lab.export(tmp_path / "out", ova=True)
    names = sorted(path.name for path in report.directory.iterdir())
    assert names[:2] == ["LagoInitFile", "export.json"]
    assert "web.ova" in names
    files = world.archives.list_files(report.directory / "web.ova")
    assert list(files) == ["web.ovf", "web.mf", "web-disk1.vmdk", "web-disk2.vmdk"]
    found = PrefixSpec.load(report.init_file).vms[0]
    assert found.ova == "$LAGO_INITFILE_PATH/web.ova"
    assert [disk.name for disk in found.disks] == ["cd"]
    again = make_prefix(take_in(report.directory, world), tmp_path / "again", world=world)
    assert len(again.plan.vms[0].disks) == 3
    assert addresses(again) == addresses(lab)


def test_nets_that_have_a_subnet_of_their_own_keep_it(tmp_path):
    spec = lab_spec(web=vm("lan", "back"))
    spec["nets"] = {"lan": {**LAN, "subnet": "10.9.0.0/22"}, "back": {"type": "bridge"}}
    lab, _ = make_lab(tmp_path, spec)
    found = PrefixSpec.load(lab.export(tmp_path / "out").init_file)
    assert found.nets[0].gw is None
    assert found.vms[0].nics[1].ip is None
    assert found.vms[0].nics[1].mac == lab.plan.vms[0].nics[1].mac
