"""Sets of disjoint ranges."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.ranges import RangeSet

spans = st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda at: (at[0], at[0] + at[1]))


def test_an_empty_set_overlaps_nothing():
    assert RangeSet().find_overlap(0, 100) is None


def test_the_owner_of_the_overlapped_range_is_told_and_nothing_is_added():
    ranges = RangeSet()
    assert ranges.add(10, 19, "a") is None
    assert ranges.add(20, 29, "b") is None
    assert ranges.add(19, 19, "c") == "a"
    assert ranges.add(5, 12, "c") == "a"
    assert ranges.add(0, 9, "c") is None
    assert ranges.find_overlap(30, 40) is None


def test_of_nested_ranges_the_widest_stays():
    ranges = RangeSet()
    ranges.add_nested([(10, 11, "small"), (10, 19, "wide"), (30, 39, "far")])
    assert ranges.find_overlap(15, 15) == "wide"
    assert ranges.find_overlap(20, 29) is None
    assert ranges.find_overlap(39, 50) == "far"


@settings(deadline=None)
@given(asked=st.lists(spans, max_size=25), probe=spans)
def test_it_answers_as_a_plain_list_would(asked, probe):
    ranges, plain = RangeSet(), []
    for number, (first, last) in enumerate(asked):
        clash = any(first <= other_last and last >= other for other, other_last in plain)
        assert (ranges.add(first, last, str(number)) is not None) == clash
        if not clash:
            plain.append((first, last))
    expected = any(probe[0] <= last and probe[1] >= first for first, last in plain)
    assert (ranges.find_overlap(*probe) is not None) == expected
