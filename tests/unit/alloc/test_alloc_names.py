"""Names that libvirt, the kernel and file systems accept."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.names import allocate_device_name, allocate_file_stem, prefixed_name

UUID = "deadbeef0123456789abcdef01234567"

any_name = st.text(min_size=1, max_size=200)
uuids = st.uuids().map(lambda value: value.hex)


@pytest.mark.parametrize(
    ("name", "max_length", "expected"),
    [
        ("web", None, "deadbeef-web"),
        ("a-very-long-network-name", None, "deadbeef-a-very-long-network-name"),
        ("lan", 15, "dead-lan"),
        ("ten-digits", 15, "dead-ten-digits"),
        # The digits are what sha1sum says of the name.
        ("a-very-long-network-name", 15, "dead-22b4cb32a0"),
        ("lan", 6, "dead-3"),
        ("lan", 16, "deadbeef-lan"),
        ("a-very-long-network-name", 16, "deadbeef-22b4cb3"),
    ],
)
def test_names_are_prefixed_as_in_lago(name, max_length, expected):
    assert prefixed_name(UUID, name, max_length) == expected


def test_less_than_six_characters_hold_no_name():
    with pytest.raises(ValueError, match="at least 6"):
        prefixed_name(UUID, "lan", 5)


@settings(deadline=None)
@given(uuid=uuids, name=any_name, length=st.integers(6, 40))
def test_prefixed_names_keep_their_limit(uuid, name, length):
    assert len(prefixed_name(uuid, name, length)) <= length


def test_nets_that_differ_in_their_last_letter_get_different_devices():
    first = allocate_device_name(UUID, "storage-1", set())
    second = allocate_device_name(UUID, "storage-2", {first})
    assert (first, second) == ("dead-storage-1", "dead-storage-2")


@pytest.mark.parametrize("name", ["a/b", "two words", "dé", "a:b", "x\x00", "%d", "*", "\ud800"])
def test_what_the_kernel_refuses_is_hashed(name):
    device = allocate_device_name(UUID, name, set())
    assert re.fullmatch(r"dead-[0-9a-f]{10}", device)


def test_a_taken_device_name_is_avoided_again_and_again():
    taken = {"dead-lan"}
    for _ in range(3):
        device = allocate_device_name(UUID, "lan", taken)
        assert device not in taken
        assert device.startswith("dead-")
        taken.add(device)


def test_prefixes_with_the_same_first_digits_get_different_devices():
    other = UUID[:8] + "f" * 24
    taken = {"dead-lan"}
    assert allocate_device_name(UUID, "lan", taken) != allocate_device_name(other, "lan", taken)


@settings(deadline=None)
@given(uuid=uuids, names=st.lists(any_name, unique=True, max_size=30))
def test_device_names_are_valid_and_unique(uuid, names):
    taken = set()
    for name in names:
        device = allocate_device_name(uuid, name, taken)
        assert device not in taken
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", device)
        taken.add(device)


def test_harmless_file_names_stay():
    assert allocate_file_stem("web-1", "root.disk", taken=set()) == "web-1_root.disk"


@pytest.mark.parametrize("name", ["../../etc", "/", "a b", ".hidden", "..", "ü", "n" * 300, ""])
def test_strange_file_names_are_made_safe(name):
    stem = allocate_file_stem(name, "root", taken=set())
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}", stem)


@settings(deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.text("ab_/.", max_size=4), st.text("ab_/.", max_size=4)),
        unique=True,
        max_size=40,
    )
)
def test_file_names_never_collide(pairs):
    taken = set()
    for pair in pairs:
        stem = allocate_file_stem(*pair, taken=taken)
        assert stem not in taken
        assert "/" not in stem
        assert not stem.startswith(".")
        taken.add(stem)


def test_a_hashed_file_name_that_is_taken_is_hashed_again():
    first = allocate_file_stem("a b", taken=set())
    assert allocate_file_stem("a b", taken={first}) not in {first, "a b", "a_b"}
