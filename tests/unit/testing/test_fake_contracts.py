"""What holds for the real adapter holds for its fake: the same tests on both."""

import stat

import pytest

from lago_sdk.adapters import files, keys, ova
from lago_sdk.adapters.leases import FileSubnetLeases
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError, LagoError, LockedError, SubnetLeaseError
from lago_sdk.plan.models import Image
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.testing import FakeArchives, FakeFiles, FakeImages, FakeKeys, FakeLeases

MIB = 1 << 20
SUBNET = "192.168.200.0/24"


@pytest.fixture(params=["real", "fake"])
def is_fake(request):
    return request.param == "fake"


class TestFiles:
    @pytest.fixture
    def tool(self, is_fake):
        return FakeFiles() if is_fake else files

    def test_content_and_mode_are_replaced_and_nothing_else_is_left(self, tool, tmp_path):
        path = tmp_path / "key"
        for content, mode in (("grüß", 0o644), (b"\0\1", 0o600)):
            tool.write_atomic(path, content, mode=mode)
            expected = content.encode() if isinstance(content, str) else content
            assert path.read_bytes() == expected
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert [entry.name for entry in tmp_path.iterdir()] == ["key"]

    def test_what_cannot_be_written_leaves_no_rest(self, tool, tmp_path):
        (tmp_path / "taken").mkdir()
        for path in (tmp_path / "taken", tmp_path / "nowhere" / "file"):
            with pytest.raises(LagoError, match="cannot write"):
                tool.write_atomic(path, "x")
        assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]

    def test_a_tree_is_removed_without_following_links(self, tool, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        tree = tmp_path / "tree"
        (tree / "deep").mkdir(parents=True)
        (tree / "link").symlink_to(outside)
        for _again in range(2):
            tool.remove_tree(tree)
        assert [entry.name for entry in tmp_path.iterdir()] == ["outside"]

    def test_links_and_files_are_no_trees(self, tool, tmp_path):
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to(tmp_path)
        for name in ("file", "link"):
            with pytest.raises(LagoError, match="will not remove"):
                tool.remove_tree(tmp_path / name)

    def test_a_lock_excludes_says_for_what_and_lets_go(self, tool, tmp_path):
        path = tmp_path / ".lock"
        with tool.lock(path, timeout=0, purpose="start the lab"):
            with (
                pytest.raises(LockedError, match="to start the lab"),
                tool.lock(path, timeout=0.01, purpose="stop"),
            ):
                pass
            with tool.lock(tmp_path / "other", timeout=0, purpose="stop"):
                pass
        with tool.lock(path, timeout=0, purpose="stop"):
            pass

    def test_a_lock_needs_its_directory_and_may_outlive_it(self, tool, tmp_path):
        tree = tmp_path / "tree"
        with (
            pytest.raises(LagoError, match="does not exist"),
            tool.lock(tree / ".lock", timeout=0, purpose="start"),
        ):
            pass
        tree.mkdir()
        with tool.lock(tree / ".lock", timeout=0, purpose="destroy"):
            tool.remove_tree(tree)
        assert not tree.exists()


class TestLeases:
    @pytest.fixture
    def leases(self, is_fake, tmp_path):
        return FakeLeases() if is_fake else FileSubnetLeases(tmp_path / "subnets")

    @pytest.fixture
    def holders(self, tmp_path):
        found = []
        for uuid in ("aa", "bb"):
            path = tmp_path / f"prefix-{uuid}" / "uuid"
            path.parent.mkdir()
            path.write_text(uuid)
            found.append({"uuid_path": path, "uuid": uuid})
        return found

    def test_a_subnet_has_one_holder_who_is_named(self, leases, holders):
        ours, theirs = holders
        for _again in range(2):
            leases.acquire(SUBNET, **ours)
        with pytest.raises(SubnetLeaseError, match=r"200\.0/24 is leased .*prefix-aa'"):
            leases.acquire(SUBNET, **theirs)
        assert leases.taken(uuid="aa") == frozenset()
        assert leases.taken(uuid="bb") == {SUBNET}

    def test_overlaps_count(self, leases, holders):
        ours, theirs = holders
        leases.acquire("10.1.0.0/16", **ours)
        with pytest.raises(SubnetLeaseError, match=r"overlaps 10\.1\.0\.0/16"):
            leases.acquire("10.1.7.0/24", **theirs)
        leases.acquire("10.2.7.0/24", **theirs)
        leases.acquire("fd00:1::/64", **theirs)

    def test_all_of_one_is_given_back(self, leases, holders):
        ours, theirs = holders
        leases.acquire(SUBNET, **ours)
        leases.acquire("10.0.0.0/24", **ours)
        leases.acquire("10.0.1.0/24", **theirs)
        for _again in range(2):
            leases.release(uuid="aa")
        assert leases.taken(uuid="") == {"10.0.1.0/24"}

    @pytest.mark.parametrize("change", ["remove", "rewrite"])
    def test_the_lease_of_a_vanished_prefix_is_anybodys(self, leases, holders, change):
        ours, theirs = holders
        leases.acquire(SUBNET, **ours)
        if change == "remove":
            ours["uuid_path"].unlink()
        else:
            ours["uuid_path"].write_text("another")
        assert leases.taken(uuid="") == frozenset()
        leases.acquire(SUBNET, **theirs)

    @pytest.mark.parametrize("subnet", ["", "192.168.200.1/24", "here", "192.168.200.0/33"])
    def test_what_is_no_subnet_is_refused(self, leases, holders, subnet):
        with pytest.raises(SubnetLeaseError, match="is not a subnet"):
            leases.acquire(subnet, **holders[0])


class TestImages:
    @pytest.fixture
    def tool(self, is_fake):
        return FakeImages() if is_fake else QemuImg()

    @pytest.fixture
    def base(self, tool, tmp_path):
        path = tmp_path / "base.qcow2"
        tool.create_empty(path, size=8 * MIB, image_format=DiskFormat.QCOW2)
        return tool.inspect(path)

    def test_an_overlay_has_the_size_of_its_base_or_a_larger_one(self, tool, base, tmp_path):
        path = tmp_path / "overlay.qcow2"
        tool.create_overlay(path, base)
        assert tool.inspect(path) == Image(path=str(path), size=8 * MIB, backing=base.path)
        tool.create_overlay(path, base, size=16 * MIB)
        assert tool.inspect(path).size == 16 * MIB
        with pytest.raises(ImageError, match="cannot hold"):
            tool.create_overlay(path, base, size=4 * MIB)

    def test_a_missing_base_makes_nothing(self, tool, tmp_path):
        path = tmp_path / "overlay.qcow2"
        with pytest.raises(ImageError, match="gone"):
            tool.create_overlay(path, Image(path=str(tmp_path / "gone.qcow2"), size=MIB))
        assert not path.exists()

    def test_a_disk_needs_a_size(self, tool, tmp_path):
        with pytest.raises(ImageError, match="0 bytes"):
            tool.create_empty(tmp_path / "disk", size=0, image_format=DiskFormat.QCOW2)

    def test_a_copy_and_a_renamed_image_are_what_they_were(self, tool, base, tmp_path):
        overlay, copy = tmp_path / "overlay.qcow2", tmp_path / "copy.qcow2"
        tool.create_overlay(overlay, base)
        tool.copy(overlay, copy)
        moved = copy.rename(tmp_path / "moved.qcow2")
        assert (tool.inspect(moved).size, tool.inspect(moved).backing) == (8 * MIB, base.path)
        with pytest.raises(ImageError, match="cannot copy"):
            tool.copy(tmp_path / "gone", copy)

    def test_a_base_can_be_exchanged_and_a_disk_grow(self, tool, base, tmp_path):
        overlay, other = tmp_path / "overlay.qcow2", tmp_path / "other.qcow2"
        tool.create_overlay(overlay, base)
        tool.copy(tmp_path / "base.qcow2", other)
        tool.rebase(overlay, tool.inspect(other))
        assert tool.inspect(overlay).backing == str(other)
        tool.resize(overlay, 9 * MIB)
        assert tool.inspect(overlay).size == 9 * MIB
        with pytest.raises(ImageError, match="cannot hold"):
            tool.resize(overlay, MIB)

    def test_what_refers_to_others_is_not_imported(self, tool, base, tmp_path):
        overlay, target = tmp_path / "overlay.qcow2", tmp_path / "target.qcow2"
        tool.create_overlay(overlay, base)
        with pytest.raises(ImageError, match="refers to other files"):
            tool.import_image(overlay, target)
        tool.import_image(tmp_path / "base.qcow2", target)
        assert tool.inspect(target).size == 8 * MIB
        assert not (tmp_path / "base.qcow2").exists()

    def test_what_is_not_there_cannot_be_read(self, tool, tmp_path):
        with pytest.raises(ImageError, match="cannot read the image"):
            tool.inspect(tmp_path / "gone")


class TestKeys:
    @pytest.fixture
    def tool(self, is_fake):
        return FakeKeys() if is_fake else keys

    def test_a_pair_is_two_files_and_is_kept(self, tool, tmp_path):
        path = tmp_path / "id"
        line = tool.create_key_pair(path, "lago-1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (tmp_path / "id.pub").read_text() == f"{line}\n"
        private = path.read_bytes()
        assert tool.create_key_pair(path, "other") == line
        assert path.read_bytes() == private
        assert keys.read_public_key(path) == line

    def test_host_keys_differ(self, tool):
        first, second = tool.generate_host_key("a"), tool.generate_host_key("a")
        assert first[0] != second[0]
        assert first[1] != second[1]
        assert first[1].startswith("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")

    def test_a_pinned_key_is_a_line_without_comment_and_can_be_replaced(self, tool, tmp_path):
        path = tmp_path / "known_hosts"
        lines = {name: tool.generate_host_key(f"{name} key")[1] for name in ("web", "db", "new")}
        tool.pin_host_key(path, "web", lines["web"])
        tool.pin_host_key(path, "db", lines["db"])
        tool.pin_host_key(path, "web", lines["new"])
        expected = [f"{name} {line.rsplit(' ', 2)[0]}" for name, line in (
            ("db", lines["db"]), ("web", lines["new"]),
        )]  # fmt: skip
        assert path.read_text().splitlines() == expected
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestArchives:
    @pytest.fixture
    def archive(self, is_fake, tmp_path):
        path = tmp_path / "lab.ova"
        members = {"lab.ovf": b"<Envelope/>", "disk.vmdk": b"KDMV"}
        if is_fake:
            fake = FakeArchives()
            fake.add(path, members)
            return fake, path
        import io
        import tarfile

        with tarfile.open(path, "w") as tar:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return ova, path

    def test_files_are_listed_read_and_unpacked(self, archive, tmp_path):
        tool, path = archive
        assert list(tool.list_files(path).items()) == [("lab.ovf", 11), ("disk.vmdk", 4)]
        assert tool.read_file(path, "lab.ovf") == b"<Envelope/>"
        tool.extract_file(path, "disk.vmdk", tmp_path / "disk")
        assert (tmp_path / "disk").read_bytes() == b"KDMV"

    def test_what_is_not_there_is_an_error(self, archive, tmp_path):
        tool, path = archive
        with pytest.raises(ImageError, match="has no file 'x'"):
            tool.read_file(path, "x")
        with pytest.raises(ImageError):
            tool.list_files(tmp_path / "gone.ova")
