"""The keys of the init file do what they say: one lab of few VMs uses as many as it can."""

import hashlib
import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from functional.language_files import (
    extract_kernel,
    make_cdrom,
    make_layered,
    make_ova,
    make_text_image,
    qemu_img,
    served,
)
from lago_sdk import (
    Config,
    HostError,
    LagoError,
    NetState,
    Prefix,
    SpecError,
    VMState,
    list_templates,
)

# One large lab, on the host that most people have; what differs on others has tests of its own.
pytestmark = [pytest.mark.functional, pytest.mark.root_only, pytest.mark.private_only]

INIT_FILE = """\
nets:
  lan:
    management: true
    dhcp: {start: 100, end: 150}
    dns_domain_name: lab.test
    dns_records: {printer: 10.77.0.99}
  six: {management: true, subnet: none, subnet6: "fd00:6::/64"}
  back: {type: isolated, subnet: 10.9.0.0/22, gw: 10.9.0.1, subnet6: "fd00:b::/64"}
  wan: {type: routed, subnet: 10.8.0.16/28, gw: 10.8.0.17, mtu: 1400, dhcp: {start: 8, end: 10}}
  wire: {type: bridge}

domains:
  one:
    memory: 256
    vcpu: 2
    kernel: files/vmlinuz
    initrd: $LAGO_INITFILE_PATH/files/initrd
    cmdline: root=LABEL=lagoroot rw console=ttyS0 quiet mitigations=off lago.test=1
    root-password: "123456"
    console: virtio
    groups: [db, web]
    distro: mine
    service_provider: sysvinit
    artifacts: [/etc/hostname]
    user-data: {write_files: [{path: /root/note, content: "from the map"}]}
    metadata: {colour: red, deploy-scripts: [scripts/a_b.sh, scripts/a/b.sh]}
    nics:
      - {net: lan, ip: 300.300.300.17}
      - {net: lan}
      - {net: back, ip6: "fd00:b::17"}
      - {net: wire, mac: "52:54:00:00:00:01"}
    disks:
      - {name: root, type: template, template_name: tiny, dev: vda}
      - {name: own, type: file, path: files/own.raw, format: raw, dev: vdb}
      - {name: copy, type: file, path: files/copy.qcow2, make_a_copy: true, dev: vdc}
      - {name: web, type: file, url: "$URL/web.raw", format: raw, dev: vdd}
      - {name: kept, type: file, url: "$URL/web.raw", path: files/kept.raw, format: raw, dev: vde}
      - {name: cd, type: file, path: files/cd.iso, format: iso, dev: hda}
      - {name: fast, type: empty, size: 32M, dev: sda, serial: FAST01, cache: none}
  two:
    memory: 192
    vcpu: 1
    cpu_model: Westmere
    machine: pc
    boot: [hd]
    video: none
    user-data: |
      #!/bin/sh
      echo from the script > /root/note
    xml: <watchdog model="i6300esb" action="none"/>
    nics: [{net: six}, {net: back}, {net: wan}, {net: wire}]
    disks:
      - {name: root, type: template, template_type: qcow2, path: files/layered.qcow2, size: 300M}
  box:
    type: ova
    url: $LAGO_INITFILE_PATH/files/box.ova
    cpu_custom: {"@mode": custom, "@match": exact, model: {"@fallback": allow, "#text": Nehalem}}
    nics: [{net: lan}]
    disks: [{name: more, type: empty, size: 16M}]
  stone:
    memory: 192
    vcpu: 1
    firmware: efi
    tpm: true
    bootstrap: none
    nics: [{net: lan, model: e1000}]
    disks: [{type: empty, size: 16M}]
    shares: [{source: files, tag: files}]
  far:
    vm-provider: ssh
    ssh-host: 127.0.0.1
    ssh-port: 1
    nics: [{net: lan, ip: 0.0.0.77}]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny, base_config):
    """A directory with an init file and all that it names."""
    directory = tmp_path_factory.mktemp("language")
    images = directory / "files"
    (directory / "scripts" / "a").mkdir(parents=True)
    images.mkdir()
    template = next(t for t in list_templates(config=base_config) if t.name == tiny)
    image = Path(template.image.path)
    make_layered(images / "layered.qcow2", image, template.version)
    extract_kernel(image, images)
    make_ova(images / "box.ova", image)
    make_cdrom(images / "cd.iso", "hello.txt", "from the medium")
    make_text_image(images / "own.raw", "in place")
    make_text_image(images / "web.raw", "from the web")
    make_text_image(images / "copy.raw", "to be copied")
    qemu_img("convert", "-O", "qcow2", images / "copy.raw", images / "copy.qcow2")
    (directory / "scripts" / "a_b.sh").write_text("#!/bin/sh\necho first\n")
    (directory / "scripts" / "a" / "b.sh").write_text("#!/bin/sh\necho second\n")
    (directory / "LagoInitFile").write_text(INIT_FILE)
    return directory


@pytest.fixture(scope="module")
def lab(files, tmp_path_factory, host):
    workdir = tmp_path_factory.mktemp("lab") / "w"
    before = digest(files / "files" / "layered.qcow2")
    with served(files / "files") as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("URL", url)
        prefix = Prefix.create(
            files / "LagoInitFile", workdir=workdir, config=Config.load({"host": host})
        )
    with prefix:
        try:
            prefix.start(["one", "two", "box", "stone"])
            yield prefix
        finally:
            prefix.destroy()
    assert not workdir.exists()
    assert digest(files / "files" / "layered.qcow2") == before
    assert (files / "files" / "own.raw").exists()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(vm, command):
    return vm.ssh(command).check().out


def test_disks_have_the_content_that_was_asked_for(lab):
    one = lab.vms["one"]
    found = {dev: read(one, f"head -c 12 /dev/{dev}").rstrip("\0") for dev in ("vdb", "vdc")}
    assert found == {"vdb": "in place", "vdc": "to be copied"}
    assert read(one, "head -c 12 /dev/vdd") == read(one, "head -c 12 /dev/vde") == "from the web"


def test_a_file_is_used_in_place_and_a_copy_is_not(lab, files):
    one = lab.vms["one"]
    read(one, "printf CHANGED | dd of=/dev/vdb conv=notrunc && sync")
    read(one, "printf CHANGED | dd of=/dev/vdc conv=notrunc && sync")
    assert (files / "files" / "own.raw").read_bytes().startswith(b"CHANGED")
    qemu_img("convert", "-O", "raw", files / "files" / "copy.qcow2", files / "seen.raw")
    assert (files / "seen.raw").read_bytes().startswith(b"to be copied")


def test_a_download_goes_where_its_path_says(lab, files):
    assert (files / "files" / "kept.raw").read_bytes().startswith(b"from the web")


def test_a_cdrom_is_read_only_in_the_guest(lab):
    one = lab.vms["one"]
    text = read(one, "modprobe sr_mod; mount -r -t iso9660 /dev/sr0 /mnt && cat /mnt/hello.txt")
    assert text == "from the medium"
    assert one.ssh("umount /mnt; echo x | dd of=/dev/sr0").code != 0


def test_a_scsi_disk_has_its_serial(lab):
    one = lab.vms["one"]
    assert read(one, "cat /sys/class/block/sda/size").strip() == str((32 << 20) // 512)
    xml = dump_xml(lab, "one")
    assert "<serial>FAST01</serial>" in xml
    assert "cache=" in xml
    assert "'none'" in xml.replace('"', "'")


def test_a_kernel_of_the_hosts_is_booted(lab):
    assert "lago.test=1" in read(lab.vms["one"], "cat /proc/cmdline")


def test_user_data_is_used_as_a_map_and_as_a_script(lab):
    assert read(lab.vms["one"], "cat /root/note") == "from the map"
    assert read(lab.vms["two"], "cat /root/note") == "from the script\n"


def test_a_root_password_is_set_where_one_is_asked_for(lab):
    assert ":$" in read(lab.vms["one"], "grep ^root /etc/shadow")
    assert "root:*" in read(lab.vms["two"], "grep ^root /etc/shadow")
    assert "123456" not in str(lab.status())


def test_a_layered_image_is_completed_from_the_store(lab, tiny):
    two = lab.vms["two"]
    assert read(two, "cat /sys/class/block/?da/size").strip() == str((300 << 20) // 512)
    assert "layered" not in read_chain(lab.path / "images" / "two_root.qcow2")


def read_chain(path):
    argv = ["qemu-img", "info", "-U", "--backing-chain", str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_an_appliance_has_its_disks_memory_and_processors(lab):
    box = lab.vms["box"]
    assert (box.spec.memory, box.spec.vcpu) == (200, 1)
    assert read(box, "head -c 11 /dev/vdb") == "second disk"
    assert read(box, "cat /sys/class/block/vdc/size").strip() == str((16 << 20) // 512)
    assert "Nehalem" in dump_xml(lab, "box")


def test_processors_and_numa_cells(lab):
    assert read(lab.vms["one"], "grep -c ^processor /proc/cpuinfo").strip() == "2"
    assert dump_xml(lab, "one").count("<cell ") == 2
    assert "Westmere" in read(lab.vms["two"], "grep -m1 model.name /proc/cpuinfo")


def test_machine_video_console_and_further_xml(lab):
    two = dump_xml(lab, "two")
    assert "i440fx" in two
    assert "i6300esb" in two
    assert "<video>" not in two or "none" in two
    # The kernel makes the console once the device has answered it.
    waiting = (
        "modprobe virtio_console; for n in 1 2 3 4 5 6; do ls /dev/hvc0 && break; sleep 1; done"
    )
    assert "/dev/hvc0" in lab.vms["one"].ssh(waiting).out


def test_firmware_runs_with_a_tpm_and_a_share(lab):
    stone = lab.vms["stone"]
    assert stone.state is VMState.RUNNING
    xml = dump_xml(lab, "stone")
    assert "OVMF" in xml
    assert "tpm-crb" in xml
    assert "virtiofs" in xml
    assert "e1000" in xml
    deadline = time.monotonic() + 90
    while b"BdsDxe" not in stone.console_log.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert b"BdsDxe" in stone.console_log.read_bytes()


def test_addresses_are_those_that_were_asked_for(lab):
    one, two = lab.vms["one"], lab.vms["two"]
    assert one.ip is not None
    assert one.ip.endswith(".17")
    seen = read(one, "ip addr")
    assert f"{one.ip}/24" in seen
    assert f"{one.nics[1].ip}/24" in seen
    assert f"{one.nics[2].ip}/22" in seen
    assert "fd00:b::17/64" in seen
    assert "52:54:00:00:00:01" in seen
    assert f"{two.nics[2].ip}/28" in read(two, "ip addr")


def test_a_guest_is_managed_over_ipv6_alone(lab):
    two = lab.vms["two"]
    assert two.ip is not None
    assert two.ip.startswith("fd00:6::")
    assert lab.nets["six"].subnet == "fd00:6::/64"
    assert read(two, "ping -6 -c1 -W5 fd00:6::1")


def test_guests_reach_each_other_over_every_kind_of_net(lab):
    one, two = lab.vms["one"], lab.vms["two"]
    read(one, f"ping -c1 -W5 {two.nics[1].ip}")
    read(one, f"ping -6 -c1 -W5 {two.nics[1].ip6}")
    read(one, "ping -6 -c1 -W5 fd00:b::1")
    read(two, "ping -c1 -W5 10.8.0.17")
    read(one, "ip addr add 172.30.0.1/24 dev eth3; ip link set eth3 up")
    read(two, "ip addr add 172.30.0.2/24 dev eth3; ip link set eth3 up")
    read(one, "ping -c1 -W5 172.30.0.2")


def test_a_net_has_its_mtu_in_the_guest(lab):
    assert read(lab.vms["two"], "cat /sys/class/net/eth2/mtu").strip() == "1400"


def test_names_are_resolved(lab):
    one = lab.vms["one"]
    assert "10.77.0.99" in read(one, "nslookup printer")
    assert str(lab.vms["box"].ip) in read(one, "nslookup box.lab.test")
    assert read(one, "hostname -f").strip() == "one.lab.test"
    assert lab.nets["lan"].resolve("one-lan-1") == str(one.nics[1].ip)


def test_what_the_file_says_is_in_the_handles(lab):
    one = lab.vms["one"]
    assert one.groups == ("db", "web")
    assert one.distro == "mine"
    assert one.spec.service_provider == "sysvinit"
    assert one.spec.artifacts == ("/etc/hostname",)
    assert one.spec.metadata == {"colour": "red"}


def test_deploy_scripts_are_kept_in_the_prefix(lab):
    texts = sorted(path.read_text() for path in (lab.path / "scripts").iterdir())
    assert texts == ["#!/bin/sh\necho first\n", "#!/bin/sh\necho second\n"]


def test_a_machine_of_somebody_else_is_seen_and_left_alone(lab):
    far = lab.vms["far"]
    assert far.state is VMState.UNKNOWN  # nobody listens at that port
    (seen,) = [vm for vm in lab.status().vms if vm.name == "far"]
    assert "refused at 127.0.0.1 port 1" in seen.reason
    assert not list((lab.path / "images").glob("far*"))


def test_stopping_leaves_nets_that_others_use(lab):
    assert lab.stop(["two"]) == ("two",)
    states = {name: net.state for name, net in lab.nets.items()}
    assert states["six"] is states["wan"] is NetState.DOWN
    assert states["lan"] is states["back"] is NetState.UP


def dump_xml(prefix, name):
    """The XML of a running domain, as its libvirtd has it."""
    uri = prefix._world.host.uri
    argv = ["virsh", "-c", uri, "dumpxml", prefix.vms[name].plan.domain]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


# -- what goes wrong ---------------------------------------------------------------------------


def one_disk(disk, **changes):
    vm = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [disk], **changes}
    return {"nets": {"lan": {}}, "domains": {"solo": vm}}


def refuse(tmp_path, config, spec, error):
    with pytest.raises(error) as caught:
        Prefix.create(spec, workdir=tmp_path / "w", config=config)
    assert not (tmp_path / "w").exists()
    return str(caught.value)


def test_all_missing_files_are_told_at_once(tmp_path, config):
    spec = one_disk(
        {"type": "file", "path": "no.qcow2"},
        kernel="no-kernel",
        shares=[{"source": "no-directory", "tag": "x"}],
        metadata={"deploy-scripts": ["no.sh"]},
    )
    text = refuse(tmp_path, config, spec, SpecError)
    for place in ("disks[0].path", "kernel", "shares[0].source", "metadata.deploy-scripts[0]"):
        assert f"domains.solo.{place}" in text


def test_an_image_below_itself_is_refused(tmp_path, config):
    image = tmp_path / "loop.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", image, "4M")
    qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", image, image)
    disk = {"type": "template", "template_type": "qcow2", "path": str(image)}
    assert "below itself" in refuse(tmp_path, config, one_disk(disk), LagoError)


def test_a_layer_without_its_base_is_refused(tmp_path, config):
    image = tmp_path / "layer.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", image, "4M")
    disk = {"type": "template", "template_type": "qcow2", "path": str(image)}
    for base, told in (("gone.qcow2", "is missing"), ("./nothing:1", "a template 'nothing'")):
        qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, image)
        assert told in refuse(tmp_path, config, one_disk(disk), LagoError)


def test_a_raw_image_needs_its_format(tmp_path, config):
    make_text_image(tmp_path / "x.raw", "x")
    disk = {"type": "file", "path": str(tmp_path / "x.raw")}
    assert "format: raw" in refuse(tmp_path, config, one_disk(disk), LagoError)


def test_a_download_that_fails_leaves_nothing(tmp_path, config):
    with served(tmp_path) as url:
        disk = {"type": "file", "url": f"{url}/none.qcow2", "path": str(tmp_path / "to" / "x")}
        assert "404" in refuse(tmp_path, config, one_disk(disk), LagoError)
    assert not list(tmp_path.rglob("*x*"))


def test_an_unsafe_archive_is_refused(tmp_path, config):
    with tarfile.open(tmp_path / "bad.ova", "w") as archive:
        member = tarfile.TarInfo("../escaped")
        archive.addfile(member, io.BytesIO())
    spec = one_disk({"type": "empty", "size": "4M"}, type="ova", url=str(tmp_path / "bad.ova"))
    assert "leads out of the archive" in refuse(tmp_path, config, spec, LagoError)


def test_a_bridge_that_the_host_lacks_is_told(make_prefix):
    spec = one_disk({"type": "empty", "size": "4M"}, bootstrap="none")
    spec["nets"]["lan"] = {"type": "bridge", "bridge": "nobridge0"}
    prefix = make_prefix(spec)
    with pytest.raises(HostError, match="needs the bridge 'nobridge0'"):
        prefix.start()
    assert prefix.vms["solo"].state is VMState.DOWN


@pytest.mark.private_only
def test_a_bridge_of_the_host_is_used(make_prefix):
    spec = one_disk({"type": "empty", "size": "4M"}, bootstrap="none")
    spec["nets"]["lan"] = {"type": "bridge", "bridge": "bridge0"}
    prefix = make_prefix(spec)
    host = prefix._world.host
    host.start()
    host.run(["ip", "link", "add", "bridge0", "type", "bridge"]).check()
    prefix.start()
    assert "vnet" in host.run(["ip", "link", "show", "master", "bridge0"]).check().out


def test_settings_give_users_and_passwords_where_the_file_has_none(tmp_path, host):
    settings = {"host": host, "default_root_password": "secret", "ssh_user": "ann"}
    spec = one_disk({"type": "empty", "size": "4M"})
    with Prefix.create(spec, workdir=tmp_path / "w", config=Config.load(settings)) as prefix:
        assert prefix.plan.get_vm("solo").ssh_user == "ann"
        assert prefix.vms["solo"].spec.root_password == "secret"
        assert prefix.spec.get_vm("solo").root_password is None


# Its appliance takes a minute under emulation and reads the kernel in /boot: once is enough.
@pytest.mark.slow
def test_builders_run_in_order_and_let_the_key_in(make_prefix, tiny):
    steps = [
        {"virt-customize": {"write": ["/root/built:first"], "ssh-inject": ""}},
        {"virt-customize": {"append-line": "/root/built:second", "no-network": None}},
    ]
    prefix = make_prefix(one_disk({"type": "template", "template_name": tiny, "build": steps}))
    prefix.start()
    solo = prefix.vms["solo"]
    assert read(solo, "cat /root/built").split() == ["first", "second"]
    assert (prefix.path / "id_ed25519.pub").read_text().strip() in read(
        solo, "cat /root/.ssh/authorized_keys"
    )


# Its appliance takes a minute under emulation and reads the kernel in /boot: once is enough.
@pytest.mark.slow
def test_a_build_that_fails_leaves_nothing(tmp_path, config, tiny):
    disk = {"type": "template", "template_name": tiny}
    disk["build"] = [{"virt-customize": {"no-such-option": ""}}]
    assert "virt-customize failed" in refuse(tmp_path, config, one_disk(disk), LagoError)
