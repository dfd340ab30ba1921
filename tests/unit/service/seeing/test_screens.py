"""Screenshots, and displays that somebody can sit at."""

import stat

import attrs
import pytest
from fake_labs import domain, lab_spec, make_lab, vm

from lago_sdk.errors import HostError, LagoError, SpecError, VMError, VMNotRunningError
from lago_sdk.ports import Feature, HostKind
from lago_sdk.ports.screens import Picture
from lago_sdk.render.png import convert_ppm
from lago_sdk.spec.vm import GraphicsType
from lago_sdk.testing import FakeHost, make_world

PNG = convert_ppm(b"P6\n2 1\n255\nabcdef")


@pytest.fixture
def lab(tmp_path):
    spec = lab_spec(web=vm(graphics="vnc"), db=vm(graphics="spice"), blind=vm(video="none"))
    prefix, world = make_lab(tmp_path, spec)
    prefix.start()
    return prefix, world


class TestScreenshot:
    def test_a_pixmap_is_converted_and_a_png_is_passed_on(self, lab, tmp_path):
        prefix, world = lab
        shot = prefix.vms["web"].screenshot()
        assert (shot.width, shot.height, shot.path) == (1, 1, None)
        assert shot.data.startswith(b"\x89PNG")
        picture = Picture(data=PNG, mime="image/png")
        world.hypervisor.put_picture(domain(prefix, "web"), picture)
        shot = prefix.vms["web"].screenshot(tmp_path / "web.png")
        assert shot.path.read_bytes() == shot.data == shot._repr_png_() == PNG
        assert b"PNG" not in repr(shot).encode()

    def test_a_paused_vm_is_seen_as_well(self, lab):
        prefix, _ = lab
        prefix.vms["web"].suspend()
        assert prefix.vms["web"].screenshot().width == 1

    def test_looking_leaves_a_clean_vm_clean(self, lab):
        prefix, _ = lab
        prefix.create_snapshots("clean", ["web"])
        assert not prefix.is_dirty("clean", ["web"])
        prefix.vms["web"].screenshot()
        assert not prefix.is_dirty("clean", ["web"])

    def test_what_cannot_be_seen_is_told(self, lab, tmp_path):
        prefix, world = lab
        with pytest.raises(VMError, match="it has no display") as caught:
            prefix.vms["blind"].screenshot()
        assert "video: vga" in caught.value.hint
        world.hypervisor.put_picture(domain(prefix, "web"), Picture(data=b"?", mime="image/bmp"))
        with pytest.raises(VMError, match="image/bmp"):
            prefix.vms["web"].screenshot()
        with pytest.raises(LagoError, match="cannot write"):
            prefix.vms["db"].screenshot(tmp_path / "no" / "x.png")
        prefix.stop()
        with pytest.raises(VMNotRunningError, match="'web' is not running"):
            prefix.vms["web"].screenshot()


class TestDisplays:
    def test_a_display_has_a_password_of_its_own_that_only_we_can_read(self, lab):
        prefix, world = lab
        found = {name: prefix.vms[name].graphics for name in ("web", "db")}
        assert found["web"].kind is GraphicsType.VNC
        assert found["web"].url == f"vnc://127.0.0.1:{found['web'].port}"
        assert (len(found["web"].password), len(found["db"].password)) == (8, 24)
        assert found["web"].password not in repr(found["web"])
        for name, graphics in found.items():
            path = prefix.path / "display-passwords" / name
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            xml = world.hypervisor.get_domain_xml(domain(prefix, name))
            assert f'passwd="{graphics.password}"' in xml

    def test_it_stays_the_same_over_restarts(self, lab):
        prefix, _ = lab
        before = prefix.vms["web"].graphics.password
        prefix.stop()
        prefix.start()
        assert prefix.vms["web"].graphics.password == before

    def test_a_display_without_server_is_told(self, lab):
        prefix, _ = lab
        with pytest.raises(VMError, match="it is not served") as caught:
            _ = prefix.vms["blind"].graphics
        assert "graphics: vnc" in caught.value.hint
        (prefix.path / "display-passwords" / "web").unlink()
        with pytest.raises(VMError, match="although its spec asks for it"):
            _ = prefix.vms["web"].graphics
        prefix.stop(["web"])
        with pytest.raises(VMNotRunningError):
            _ = prefix.vms["web"].graphics

    def test_on_a_private_host_a_port_of_ours_leads_there(self, lab):
        prefix, world = lab
        with prefix.vms["web"].open_display(local_port=5999) as graphics:
            assert (graphics.host, graphics.port, graphics.is_forwarded) == (
                "127.0.0.1",
                5999,
                True,
            )
            (relay,) = world.relays.relays
            with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1 port 59"):
                relay.connect()
        assert relay.is_closed

    def test_on_the_system_host_it_is_there_already(self, tmp_path):
        world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(graphics="vnc")), world=world)
        prefix.start()
        with prefix.vms["web"].open_display() as graphics:
            assert graphics == prefix.vms["web"].graphics
        assert world.relays.relays == []

    def test_on_another_machine_ssh_is_what_helps(self, tmp_path):
        world = make_world(host=FakeHost(kind=HostKind.REMOTE))
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(graphics="vnc")), world=world)
        prefix.start()
        with (
            pytest.raises(HostError, match="another machine's networks") as caught,
            prefix.vms["web"].open_display(),
        ):
            pass
        assert "ssh -L" in caught.value.hint

    def test_the_viewer_gets_all_in_a_file(self, lab):
        prefix, world = lab
        prefix.vms["web"].view()
        (text,) = world.relays.viewed
        assert f"password={prefix.vms['web'].graphics.password}\n" in text
        assert "port=40000\n" in text
        assert world.relays.relays[0].is_closed

    def test_a_display_needs_a_video_card(self, tmp_path):
        with pytest.raises(SpecError, match="there is no display to serve"):
            make_lab(tmp_path, lab_spec(web=vm(graphics="vnc", video="none")))

    def test_a_host_without_spice_is_told_what_to_install(self, tmp_path):
        missing = {Feature.SPICE: "qemu-system-modules-spice"}
        world = attrs.evolve(make_world(), find_missing=lambda: missing)
        with pytest.raises(HostError, match="graphics: spice") as caught:
            make_lab(tmp_path, lab_spec(web=vm(graphics="spice")), world=world)
        assert "qemu-system-modules-spice" in caught.value.hint


class TestForward:
    def test_a_port_leads_to_the_guest(self, lab):
        prefix, world = lab
        web = prefix.vms["web"]
        with web.forward(80) as address:
            assert (str(address), address.port) == ("127.0.0.1:40000", 40000)
            with pytest.raises(ConnectionRefusedError, match=f"{web.ip} port 80"):
                world.relays.relays[0].connect()
        assert world.relays.relays[0].is_closed

    def test_another_address_can_be_named(self, lab):
        prefix, world = lab
        with prefix.vms["web"].forward(53, 5353, address="192.168.200.1") as address:
            assert address.port == 5353
            with pytest.raises(ConnectionRefusedError, match=r"192\.168\.200\.1 port 53"):
                world.relays.relays[0].connect()

    @pytest.mark.parametrize(("port", "local"), [(0, 0), (70000, 0), (80, 70000), (80, -1)])
    def test_what_is_no_port_is_told(self, lab, port, local):
        prefix, _ = lab
        with (
            pytest.raises(HostError, match="is no TCP port"),
            prefix.vms["web"].forward(port, local),
        ):
            pass

    def test_a_port_that_is_taken_is_told(self, lab):
        prefix, world = lab
        world.relays.taken.add(8080)
        with pytest.raises(HostError, match="8080"), prefix.vms["web"].forward(80, 8080):
            pass
