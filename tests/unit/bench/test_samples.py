from tests.bench.samples import Sample, growth, per_second


def sample(at_s: float, rows: int, size: int) -> Sample:
    return Sample(at_s=at_s, rows=rows, bytes={"enrich": size})


def test_growth_is_from_the_second_quarter_to_the_last() -> None:
    sizes = [sample(0, 0, 10), sample(1, 30, 100), sample(2, 45, 90), sample(3, 60, 300), sample(4, 80, 104)]
    assert growth(sizes, total=100) == {"enrich": 0.040000000000000036}


def test_without_samples_in_both_quarters_nothing_is_said() -> None:
    assert growth([sample(0, 0, 10), sample(1, 100, 100)], total=100) == {}


def test_rates_are_between_samples() -> None:
    assert per_second([sample(0, 0, 1), sample(2, 100, 1), sample(3, 100, 1)]) == [(2, 50.0), (3, 0.0)]
