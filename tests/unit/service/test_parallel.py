"""Work on many things at once."""

import signal
import threading
import time

import pytest

from lago_sdk.service.parallel import Cancellation, Cancelled, run_parallel


def test_results_come_in_the_order_of_the_items():
    def work(number):
        time.sleep(0.01 * (3 - number))
        return number * number

    assert run_parallel(work, [0, 1, 2], limit=3, message="failed") == (0, 1, 4)


def test_nothing_to_do_starts_no_thread():
    before = threading.active_count()
    assert run_parallel(lambda _: None, [], limit=4, message="failed") == ()
    assert threading.active_count() == before


def test_the_limit_bounds_what_runs_at_once():
    running, peak, mutex = 0, 0, threading.Lock()

    def work(_):
        nonlocal running, peak
        with mutex:
            running += 1
            peak = max(peak, running)
        time.sleep(0.01)
        with mutex:
            running -= 1

    run_parallel(work, range(8), limit=2, message="failed")
    assert peak == 2


def test_one_failure_is_raised_as_it_is():
    def work(number):
        if number == 1:
            raise ValueError("one")

    with pytest.raises(ValueError, match="one"):
        run_parallel(work, range(3), limit=3, message="several failed")


def test_several_failures_come_as_a_group():
    barrier = threading.Barrier(2)

    def work(number):
        barrier.wait()
        raise ValueError(str(number))

    with pytest.raises(ExceptionGroup, match="several failed") as caught:
        run_parallel(work, range(2), limit=2, message="several failed")
    assert sorted(str(error) for error in caught.value.exceptions) == ["0", "1"]


def test_a_failure_asks_the_others_to_end_early_and_hides_that_they_did():
    cancellation = Cancellation()

    def work(number):
        if number == 0:
            raise ValueError("first")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            cancellation.check()
            time.sleep(0.01)
        raise AssertionError("nobody cancelled")

    with pytest.raises(ValueError, match="first"):
        run_parallel(work, range(2), limit=2, message="m", cancellation=cancellation)


def test_queued_items_are_not_begun_after_a_failure():
    begun = []

    def work(number):
        begun.append(number)
        if number == 0:
            raise ValueError("first")
        time.sleep(0.2)

    with pytest.raises(ValueError, match="first"):
        run_parallel(work, range(100), limit=1, message="m")
    assert len(begun) < 100


def test_work_that_was_cancelled_from_outside_says_so():
    cancellation = Cancellation()
    cancellation.cancel()

    def work(_):
        cancellation.check()

    with pytest.raises(Cancelled):
        run_parallel(work, [1], limit=1, message="m", cancellation=cancellation)


def test_work_that_must_go_on_does_though_some_failed():
    begun = []

    def work(number):
        begun.append(number)
        if number % 2:
            raise ValueError(str(number))

    with pytest.raises(ExceptionGroup, match="several failed") as caught:
        run_parallel(work, range(6), limit=1, message="several failed", keep_going=True)
    assert begun == list(range(6))
    assert [str(error) for error in caught.value.exceptions] == ["1", "3", "5"]


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize("count", [1, 50])
def test_ctrl_c_ends_the_work_whenever_it_comes(count, keep_going):
    """With many items it comes while their threads are still being started."""
    cancellation = Cancellation()
    main = threading.main_thread().ident

    def work(number):
        if number == 0:
            signal.pthread_kill(main, signal.SIGINT)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            cancellation.check()
            time.sleep(0.005)
        raise AssertionError("nobody cancelled")

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_parallel(
            work,
            range(count),
            limit=count,
            message="m",
            cancellation=cancellation,
            keep_going=keep_going,
        )
    assert time.monotonic() - begin < 8
