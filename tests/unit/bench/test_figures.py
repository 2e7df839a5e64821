import pytest

from tests.bench.figures import Spread, percentile, percentiles, spread


@pytest.mark.parametrize(
    ("percent", "value"),
    [
        (0, 1),
        (50, 50),
        (99, 99),
        (99.5, 100),  # the nearest rank: never between two values
        (100, 100),
    ],
)
def test_percentiles_are_by_the_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_one_value_is_every_percentile() -> None:
    found = percentiles([0.25])
    assert (found.p50, found.p99, found.worst) == (0.25, 0.25, 0.25)


def test_no_values_have_no_percentiles() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentiles([])


def test_the_spread_is_from_the_least_to_the_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert str(spread([1_000.4, 2_000.0, 3_000.0])) == "2,000 (1,000 to 3,000)"
