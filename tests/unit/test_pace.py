"""How many calls travel together: what the rules promise, whatever was learned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.dispatch.pace import LEAST_SECONDS, MOST_SECONDS, Pace, slice_of

seconds = st.floats(0, 1e6, allow_nan=False)
counts = st.integers(1, 10_000)
lessons = st.lists(st.tuples(st.sampled_from("fg"), counts, seconds), max_size=20)


def taught(some: list[tuple[str, int, float]]) -> Pace:
    pace = Pace()
    for name, calls, spent in some:
        pace.learn(name, calls, spent)
    return pace


def test_nothing_is_known_of_first_calls_so_they_travel_alone() -> None:
    """Another call of the same length would not fit into the room that there is."""
    pace = Pace()
    for waiting in (1, 10, 10_000):
        assert 2 * pace.expect("f") > pace.room("f", waiting, 2)


@given(lessons, counts, counts)
def test_a_batch_never_holds_more_than_it_may(
    some: list[tuple[str, int, float]], waiting: int, processes: int
) -> None:
    assert LEAST_SECONDS <= taught(some).room("f", waiting, processes) <= MOST_SECONDS


@given(lessons, counts, counts)
def test_a_batch_is_at_most_a_share_of_what_waits(
    some: list[tuple[str, int, float]], waiting: int, processes: int
) -> None:
    """Half of an even share for each process, so that none sits on work while another idles."""
    pace = taught(some)
    room = pace.room("f", waiting, processes)
    assert room <= max(LEAST_SECONDS, waiting * pace.expect("f") / (2 * processes))


@given(lessons, counts, counts, counts)
def test_more_that_waits_never_makes_a_batch_smaller(
    some: list[tuple[str, int, float]], waiting: int, more: int, processes: int
) -> None:
    pace = taught(some)
    assert pace.room("f", waiting + more, processes) >= pace.room("f", waiting, processes)
    assert pace.room("f", waiting, processes + more) <= pace.room("f", waiting, processes)


@given(lessons, counts, seconds)
def test_slower_calls_are_believed_at_once(
    some: list[tuple[str, int, float]], calls: int, spent: float
) -> None:
    pace = taught([*some, ("f", calls, spent)])
    assert pace.expect("f") >= spent / calls


@given(lessons, counts, seconds)
def test_an_estimate_stays_between_what_was_known_and_what_is_new(
    some: list[tuple[str, int, float]], calls: int, spent: float
) -> None:
    pace = taught([("f", 1, 0.5), *some])
    known, mean = pace.expect("f"), spent / calls
    pace.learn("f", calls, spent)
    assert min(known, mean) <= pace.expect("f") <= max(known, mean)


def test_one_fast_call_proves_little_and_many_prove_it() -> None:
    """Else a function whose calls were long would pay a message each for the first dozen short ones."""
    assert taught([("f", 1, 1.0), ("f", 1, 0.0)]).expect("f") == 0.5
    assert taught([("f", 1, 1.0), ("f", 20, 0.0)]).expect("f") < 1e-5


@given(seconds, seconds)
def test_an_estimate_arrives_where_the_calls_are(first: float, later: float) -> None:
    pace = taught([("f", 1, first), *[("f", 1, later)] * 60])
    assert abs(pace.expect("f") - later) <= 1e-9 + 1e-9 * max(first, later)


@given(lessons, seconds)
def test_functions_are_told_apart(some: list[tuple[str, int, float]], spent: float) -> None:
    pace = taught(some)
    before = pace.expect("f")
    pace.learn("g", 1, spent)
    assert pace.expect("f") == before


@given(lessons, st.integers(-5, 0))
def test_no_calls_teach_nothing(some: list[tuple[str, int, float]], none: int) -> None:
    pace = taught(some)
    before = pace.expect("f")
    pace.learn("f", none, 3.0)
    assert pace.expect("f") == before


@given(seconds)
def test_a_batch_has_more_time_than_is_expected_and_not_without_end(expected: float) -> None:
    assert min(expected, MOST_SECONDS) < slice_of(expected) <= slice_of(MOST_SECONDS) < 1
