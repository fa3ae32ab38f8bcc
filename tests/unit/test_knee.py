"""How many workers are recommended, for pools whose knee is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.knee import default_workers, knee

SIZES = (1, 2, 4, 8, 16)


def pool(
    most: float, *, noise: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> tuple[list[list[float]], list[list[float]]]:
    """A pool whose throughput grows with its workers up to `most`; two calls under way for each worker."""
    rates = [[min(size, most) * 100 * mood for size in SIZES] for mood in noise]
    return rates, [[2 * size / rate for size, rate in zip(SIZES, row, strict=True)] for row in rates]


@pytest.mark.parametrize("most", SIZES)
def test_the_knee_is_where_throughput_ends_growing(most: int) -> None:
    found = knee(SIZES, *pool(most))
    assert (found.size, found.confidence, found.others) == (most, 1.0, ())


def test_what_all_sizes_of_a_round_share_takes_no_confidence() -> None:
    """A machine that is half as fast in one round is so for all sizes: the rounds agree on the knee."""
    assert knee(SIZES, *pool(4, noise=(1.0, 0.5, 0.8))).confidence == 1.0


def test_workers_that_only_add_latency_are_not_recommended() -> None:
    rates = [[100, 104, 108, 110, 111.0]] * 3
    p99 = [[0.01, 0.02, 0.04, 0.08, 0.16]] * 3
    assert knee(SIZES, rates, p99).size == 1


def test_rounds_that_disagree_lower_the_confidence() -> None:
    rates = [[100, 200, 400, 400, 400.0], [100, 200, 200, 200, 200.0], [100, 200, 400, 400, 400.0]]
    p99 = [[2 * size / rate for size, rate in zip(SIZES, row, strict=True)] for row in rates]
    found = knee(SIZES, rates, p99)
    assert found.confidence is not None
    assert 0.5 < found.confidence < 1.0
    assert {size for size, _ in found.others} == {2}


def test_a_single_round_tells_a_size_but_no_confidence() -> None:
    rates, p99 = pool(4)
    assert (knee(SIZES, rates[:1], p99[:1]).size, knee(SIZES, rates[:1], p99[:1]).confidence) == (4, None)


def test_each_round_needs_a_figure_for_each_size() -> None:
    with pytest.raises(ValueError, match="for each size"):
        knee(SIZES, [[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="for each size"):
        knee(SIZES, [], [])


@given(st.lists(st.lists(st.floats(0.1, 1e4), min_size=5, max_size=5), min_size=2, max_size=6), st.data())
def test_the_shares_of_all_recommended_sizes_are_whole(rates: list[list[float]], data: st.DataObject) -> None:
    """Whatever was measured, some size is recommended, and nobody can be surer than sure."""
    row = st.lists(st.floats(1e-6, 10), min_size=5, max_size=5)
    p99 = data.draw(st.lists(row, min_size=len(rates), max_size=len(rates)))
    found = knee(SIZES, rates, p99)
    assert found.size in SIZES
    assert found.confidence is not None
    assert found.confidence + sum(share for _, share in found.others) == pytest.approx(1)
    assert all(share <= found.confidence for _, share in found.others)


def test_the_standard_library_s_defaults_are_what_its_pools_have() -> None:
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    with ThreadPoolExecutor() as threads, ProcessPoolExecutor() as processes:  # neither starts a worker yet
        assert default_workers("thread-pool") == threads._max_workers
        assert default_workers("process-pool") == processes._max_workers
    assert default_workers("broker-queue") is None
