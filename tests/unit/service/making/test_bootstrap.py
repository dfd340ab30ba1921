"""Guests prepared by each way: what is made, what is pinned, and what a kill leaves."""

import attrs
import pytest
from fake_labs import Creation, Killed, lab_spec, make_lab, vm

from lago_sdk.errors import ImageError, SpecError, VMError
from lago_sdk.ports import SCRATCH_PREFIX, OfflineFile, OfflineLink
from lago_sdk.spec import Bootstrap
from lago_sdk.testing import FakeDisks, FakeTemplates, make_world

PASSWD = OfflineFile(data=b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n")
NETPLAN = "/etc/netplan/00-installer.yaml"
GUEST = {"/etc/passwd": PASSWD, NETPLAN: OfflineFile(data=b"")}
FACTS = {"cloud-init": False, "root-filesystem": "ext4", "systemd": 252}


def part(name):
    """The file name of a VM's disk while it is made."""
    return f".{name}_root.qcow2.part"


def world_of(*names, **facts):
    """A world whose VMs' disks have a guest on them."""
    world = make_world(templates=FakeTemplates(metadata={**FACTS, **facts}))
    for name in names:
        world.disks[part(name)].update(GUEST)
        world.disks.kinds[part(name)] = str(facts.get("root-filesystem", "ext4"))
    return world


def written(world, name, path):
    return world.disks[part(name)][path].data.decode()


class Interrupted(FakeDisks):
    """As `FakeDisks`, with something that happens before a disk is written to."""

    def __init__(self, disks, action):
        super().__init__()
        self.__dict__.update(disks.__dict__)
        self._action = action

    def open(self, path, image_format, **options):
        self._action(path)
        return super().open(path, image_format, **options)

    def change_all(self, changes):
        self._action(changes[0].path)


class TestInject:
    def test_name_key_and_network_are_on_the_disk(self, tmp_path):
        world = world_of("web", "db")
        prefix, _ = make_lab(tmp_path, world=world)
        assert [vm.bootstrap for vm in prefix.plan.vms] == [Bootstrap.INJECT] * 2
        key = (prefix.path / "id_ed25519.pub").read_text()
        for name in ("web", "db"):
            assert written(world, name, "/etc/hostname") == f"{name}\n"
            assert written(world, name, "/root/.ssh/authorized_keys").strip() == key.strip()
            assert prefix.plan.get_vm(name).nics[0].mac in written(
                world, name, "/etc/netplan/90-lago.yaml"
            )
        assert world.seeds.contents == {}
        assert world.disks.booted == []
        assert {path.name for path in (prefix.path / "images").iterdir()} == {
            "web_root.qcow2", "db_root.qcow2",
        }  # fmt: skip

    def test_the_host_key_is_pinned(self, tmp_path):
        world = world_of("web")
        make_lab(tmp_path, lab_spec(web=vm()), world=world)
        line = written(world, "web", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        assert world.keys.pinned["web"].split()[:2] == line[:2]

    def test_a_user_of_the_guest_gets_the_key_and_others_are_told(self, tmp_path):
        world = world_of("web")
        make_lab(tmp_path, lab_spec(web=vm(**{"ssh-user": "ann"})), world=world)
        node = world.disks[part("web")]["/home/ann/.ssh/authorized_keys"]
        assert (node.uid, node.gid, node.mode) == (1000, 100, 0o600)
        with pytest.raises(VMError, match="the image of 'web' has no user 'bob'") as caught:
            make_lab(
                tmp_path, lab_spec(web=vm(**{"ssh-user": "bob"})), world=world_of("web"), name="x"
            )
        assert "seed" in caught.value.hint

    def test_passwords_are_set_as_hashes(self, tmp_path):
        world = world_of("web")
        world.disks[part("web")]["/etc/shadow"] = OfflineFile(data=b"root:*:1::::::\n", mode=0o640)
        make_lab(tmp_path, lab_spec(web=vm(**{"root-password": "secret"})), world=world)
        node = world.disks[part("web")]["/etc/shadow"]
        assert (node.data, node.mode) == (b"root:$6$fake$secret:1::::::\n", 0o640)

    def test_only_the_first_disk_is_written_to(self, tmp_path):
        world = world_of("web")
        disks = [*vm()["disks"], {"type": "template", "name": "data", "template_name": "tiny"}]
        make_lab(tmp_path, lab_spec(web=vm(disks=disks)), world=world)
        assert [path.name for path, _ in world.disks.opened] == [part("web")]

    def test_a_disk_that_cannot_be_written_to_leaves_nothing(self, tmp_path):
        world = world_of("web")
        world.disks.kinds[part("web")] = "xfs"
        with pytest.raises(VMError, match=r"disk 'root' of 'web': only ext4 is written to"):
            make_lab(tmp_path, lab_spec(web=vm()), world=world)
        assert not (tmp_path / "lab").exists()

    def test_a_guest_of_an_unknown_kind_is_told(self, tmp_path):
        world = world_of("web")
        del world.disks[part("web")][NETPLAN]
        with pytest.raises(VMError, match="nothing that is known here configures the nics"):
            make_lab(tmp_path, lab_spec(web=vm()), world=world)

    @pytest.mark.parametrize("road", ["inject", "guestfs"])
    def test_killed_in_the_middle_it_is_made_anew(self, tmp_path, road):
        def kill(path):
            (path.parent / f"{SCRATCH_PREFIX}x").mkdir()
            raise Killed

        creation = Creation(tmp_path / "default", lab_spec(web=vm(bootstrap=road)))
        world = world_of("web")
        with pytest.raises(Killed):
            creation.run(attrs.evolve(world, disks=Interrupted(world.disks, kill)))
        assert "web_root.qcow2" not in creation.images()
        creation.run(world)
        assert creation.images() == {"web_root.qcow2"}
        line = written(world, "web", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        pinned = world.keys.pinned["web"]
        assert pinned.split()[:2] == line[:2]

    def test_what_is_there_is_not_written_to_again(self, tmp_path):
        creation = Creation(tmp_path / "default", lab_spec(web=vm()))
        world = world_of("web")
        creation.run(world)
        pinned = dict(world.keys.pinned)
        creation.run(world)
        assert len(world.disks.opened) == 1
        assert world.keys.pinned == pinned


class TestGuestfs:
    def test_one_appliance_has_all_disks(self, tmp_path):
        world = world_of("web", "db", **{"root-filesystem": "xfs"})
        prefix, _ = make_lab(tmp_path, world=world)
        assert [vm.bootstrap for vm in prefix.plan.vms] == [Bootstrap.GUESTFS] * 2
        ((first, second),) = world.disks.booted
        assert {first.name, second.name} == {part("web"), part("db")}
        assert written(world, "web", "/etc/hostname") == "web\n"

    def test_a_failure_leaves_nothing(self, tmp_path):
        def fail(_path):
            raise ImageError("no appliance today")

        world = world_of("web", **{"root-filesystem": "xfs"})
        world = attrs.evolve(world, disks=Interrupted(world.disks, fail))
        with pytest.raises(ImageError, match="no appliance today"):
            make_lab(tmp_path, lab_spec(web=vm()), world=world)
        assert not (tmp_path / "lab").exists()


class TestCredentials:
    def test_the_machine_tells_them(self, tmp_path):
        world = world_of()
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(bootstrap="credentials")), world=world)
        prefix.start()
        xml = world.hypervisor.get_domain_xml(prefix.plan.vms[0].domain)
        assert "io.systemd.credential.binary:ssh.authorized_keys.root=" in xml
        assert (world.disks.opened, world.seeds.contents) == ([], {})

    def test_other_machines_tell_nothing(self, tmp_path):
        world = world_of("web")
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm()), world=world)
        prefix.start()
        assert "io.systemd" not in world.hypervisor.get_domain_xml(prefix.plan.vms[0].domain)


class TestLook:
    """What decides where metadata is silent."""

    IMAGE = "image.qcow2"

    def bootstrap(self, tmp_path, world, **values):
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(**values)), world=world)
        plan = prefix.plan.vms[0]
        return plan.bootstrap, plan.bootstrap_reason, plan.distro

    def world(self, **nodes):
        world = make_world(templates=FakeTemplates())
        for path, text in nodes.items():
            name = path.replace("__", "-").replace("_", "/")
            world.disks[self.IMAGE][f"/{name}"] = OfflineFile(data=text)
        world.disks[part("web")].update(GUEST)
        return world

    def test_cloud_init_is_seen(self, tmp_path):
        world = self.world(usr_bin_cloud__init=b"", etc_os__release=b'NAME="x"\nID="rocky"\n')
        seen = self.bootstrap(tmp_path, world)
        assert seen == (Bootstrap.SEED, "its image has cloud-init", "rocky")

    def test_cloud_init_that_is_switched_off_does_not_count(self, tmp_path):
        world = self.world(usr_bin_cloud__init=b"")
        world.disks[self.IMAGE]["/etc/cloud/cloud-init.disabled"] = OfflineFile(data=b"")
        assert self.bootstrap(tmp_path, world)[0] is Bootstrap.INJECT

    def test_the_reader_of_tiny_is_seen(self, tmp_path):
        world = self.world(etc_lago_read__seed=b"")
        assert self.bootstrap(tmp_path, world)[0] is Bootstrap.SEED

    def test_a_root_that_takes_an_appliance_is_seen(self, tmp_path):
        world = self.world()
        world.disks.kinds[self.IMAGE] = "LVM"
        assert self.bootstrap(tmp_path, world)[0] is Bootstrap.GUESTFS

    def test_an_image_without_anything_is_given_a_seed(self, tmp_path):
        road, reason, _ = self.bootstrap(tmp_path, self.world())
        assert (road, reason) == (Bootstrap.SEED, "no root file system is seen in its image")

    @pytest.mark.parametrize(
        ("library", "there"),
        [("libsystemd-shared-252.so", None), ("libsystemd-shared-247.3.so", "systemd 247"),
         ("libother.so", "no systemd")],
    )  # fmt: skip
    def test_systemd_is_seen(self, tmp_path, library, there):
        world = self.world(etc_hostname=b"x")
        place = "/usr/lib/x86_64-linux-gnu/systemd"
        world.disks[self.IMAGE][f"{place}/{library}"] = OfflineLink(target="x")
        if there is None:
            seen = self.bootstrap(tmp_path, world, bootstrap="credentials")
            assert seen[0] is Bootstrap.CREDENTIALS
        else:
            with pytest.raises(SpecError, match=f"its image has {there}"):
                self.bootstrap(tmp_path, world, bootstrap="credentials")

    def test_each_image_is_looked_into_once(self, tmp_path):
        looks = []

        class Counting(FakeDisks):
            def look(self, path, image_format, **options):
                looks.append(path)
                return super().look(path, image_format, **options)

        make_lab(tmp_path, world=attrs.evolve(make_world(), disks=Counting()))
        assert len(looks) == 1

    def test_metadata_spares_the_look(self, tmp_path):
        class Blind(FakeDisks):
            look = None

        world = make_world(templates=FakeTemplates(metadata={"cloud-init": True}))
        prefix, _ = make_lab(tmp_path, world=attrs.evolve(world, disks=Blind()))
        assert prefix.plan.vms[0].bootstrap is Bootstrap.SEED
