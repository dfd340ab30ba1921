"""Captures: what passes is written, all of it, and what goes wrong is told."""

import io
import struct
import time

import pytest
from fake_labs import make_lab

from lago_sdk.errors import CaptureError, VMError, VMNotRunningError
from lago_sdk.service.seeing.capture import Capture, CaptureLimits
from lago_sdk.testing import FakeTap


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


def read_packets(data):
    assert struct.unpack("<I", data[:4]) == (0xA1B23C4D,)
    place, found = 24, []
    while place < len(data):
        _, _, kept, length = struct.unpack("<IIII", data[place : place + 16])
        found.append((data[place + 16 : place + 16 + kept], length))
        place += 16 + kept
    return found


def test_all_that_passed_before_its_end_is_in_the_file(lab, tmp_path):
    prefix, world = lab
    path = tmp_path / "lan.pcap"
    with prefix.nets["lan"].capture(path, filter="tcp port 22 or 'icmp'") as capture:
        (tap,) = world.host.taps
        for number in range(1000):
            tap.pass_by(b"%d" % number)
    assert (tap.device, tap.words) == (
        prefix.plan.get_net("lan").bridge,
        ("tcp", "port", "22", "or", "icmp"),
    )
    assert [data for data, _ in read_packets(path.read_bytes())] == [b"%d" % n for n in range(1000)]
    report = capture.stop()
    assert (report.path, report.packets, report.lost) == (path, 1000, 0)
    assert report.size == path.stat().st_size
    assert tap.is_closed
    assert not capture.is_running


def test_what_passes_after_its_end_is_not():
    tap, file = FakeTap("br0", words=(), snaplen=100), io.BytesIO()
    capture = Capture(tap, file, limits=CaptureLimits())
    capture._stop.set()  # what is in the tap by now is what passed until the end
    tap.pass_by(b"early")
    tap.pass_by(b"late", at=time.time_ns() + 10**12)
    assert capture.start(100).stop().packets == 1
    assert read_packets(file.getvalue()) == [(b"early", 5)]


def test_a_nic_is_captured_at_its_own_device(lab, tmp_path):
    prefix, world = lab
    with prefix.vms["web"].capture(tmp_path / "web.pcap", snaplen=4) as capture:
        world.host.taps[0].pass_by(b"0123456789")
        assert world.host.taps[0].device.startswith("tap-")
    assert read_packets((tmp_path / "web.pcap").read_bytes()) == [(b"0123", 10)]
    assert capture.packets == 1
    with pytest.raises(VMError, match="has no nic 3") as caught:
        prefix.vms["web"].capture(tmp_path / "x", nic=3)
    assert caught.value.hint == "there are: 0 (lan)"


def test_it_ends_at_its_limits(lab, tmp_path):
    prefix, world = lab
    capture = prefix.nets["lan"].capture(tmp_path / "x.pcap", count=2)
    for _ in range(5):
        world.host.taps[0].pass_by(b"x")
    assert capture.wait(10)
    assert capture.stop().packets == 2
    capture = prefix.nets["lan"].capture(tmp_path / "x.pcap", duration=0.05)
    assert capture.wait(10)
    assert 0.05 <= capture.stop().seconds < 5


def test_an_open_file_is_written_through_and_stays_open(lab):
    prefix, world = lab
    file = io.BytesIO()
    with prefix.nets["lan"].capture(file) as capture:
        world.host.taps[0].pass_by(b"x")
    assert read_packets(file.getvalue()) == [(b"x", 1)]
    assert capture.stop().path is None
    assert not file.closed


class Broken(io.BytesIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, data):
        if self.tell():
            raise self.error
        return super().write(data)


def test_a_file_that_cannot_be_written_is_told_and_a_reader_that_left_is_not(lab):
    prefix, world = lab
    for error in (OSError(28, "No space left on device"), BrokenPipeError()):
        capture = prefix.nets["lan"].capture(Broken(error))
        world.host.taps[-1].pass_by(b"x")
        assert capture.wait(10)
        if isinstance(error, BrokenPipeError):
            assert capture.stop().packets == 0
        else:
            with pytest.raises(CaptureError, match="No space left"):
                capture.stop()
        assert world.host.taps[-1].is_closed


def test_a_device_that_goes_away_ends_it(lab, tmp_path):
    prefix, world = lab
    capture = prefix.nets["lan"].capture(tmp_path / "x.pcap")
    world.host.taps[0].pass_by(b"x")
    world.host.taps[0].remove_device()
    assert capture.wait(10)
    with pytest.raises(CaptureError, match="has gone"):
        capture.stop()
    assert len(read_packets((tmp_path / "x.pcap").read_bytes())) == 1


def test_the_error_of_the_block_is_the_one_that_is_raised(lab, tmp_path):
    prefix, world = lab
    with pytest.raises(KeyError), prefix.nets["lan"].capture(tmp_path / "x.pcap"):  # noqa: PT012
        world.host.taps[0].remove_device()
        time.sleep(0.2)
        raise KeyError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "0 packets"),
        ({"duration": 0}, "for 0 seconds"),
        ({"duration": float("nan")}, "nan seconds"),
        ({"snaplen": 0}, "0 bytes"),
        ({"filter": "host 'x"}, "is no filter"),
    ],
)
def test_what_makes_no_sense_makes_no_file(lab, tmp_path, options, message):
    prefix, _ = lab
    with pytest.raises(CaptureError, match=message):
        prefix.nets["lan"].capture(tmp_path / "x.pcap", **options)
    assert not (tmp_path / "x.pcap").exists()


def test_nothing_that_is_down_is_captured(lab, tmp_path):
    prefix, world = lab
    with pytest.raises(CaptureError, match="cannot be written"):
        prefix.nets["lan"].capture(tmp_path / "no" / "x.pcap")
    assert world.host.taps[0].is_closed
    prefix.stop()
    with pytest.raises(CaptureError, match="'lan' is down") as caught:
        prefix.nets["lan"].capture(tmp_path / "x.pcap")
    assert "lagoctl start" in caught.value.hint
    with pytest.raises(VMNotRunningError):
        prefix.vms["web"].capture(tmp_path / "x.pcap")
