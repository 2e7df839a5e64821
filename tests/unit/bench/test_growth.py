from itertools import groupby

import msgspec
import pytest

from pipeline.claims import PartitionClaims
from pipeline.enrich import SeenRow
from pipeline.notifications import SEPARATOR
from pipeline.subscriptions import decode
from tests.bench import preload
from tests.bench.growth import Measured, among, in_turns, summary, table
from tests.bench.growth_points import POINTS, RECOVERED_PER_S, Point
from tests.bench.recovery import Recovery
from tests.unit.bench.made_up import RUN


def test_points_have_names_of_their_own_and_groups_stay_together() -> None:
    assert len({one.name for one in POINTS}) == len(POINTS)
    assert [group for group, _ in groupby(POINTS, key=lambda one: one.group)] == ["workers", "shipments", "rows"]


def test_every_point_of_the_goal_is_there() -> None:
    assert {(one.workers, one.partitions) for one in POINTS} == {(w, p) for w in (1, 2, 4) for p in (4, 16, 64)}
    assert {one.shipments for one in POINTS} >= {1_000, 100_000, 1_000_000}
    assert {one.rows for one in POINTS} == {0, 1_000_000, 5_000_000}


def test_a_scale_takes_rows_and_leaves_workers() -> None:
    point = Point(group="rows", value="5M", workers=2, rows=5_000_000, shipments=20_000).scaled(0.001)
    assert (point.rows, point.shipments, point.workers) == (5_000, 1_000, 2)


def test_preloaded_rows_are_rows_of_the_pipeline() -> None:
    partition, key, value = next(preload.seen(1, 4))
    row = msgspec.json.decode(value, type=SeenRow)
    assert (row.source.partition, partition, key[:1]) == (0, 0, SEPARATOR.encode())
    _, shipment, subscribed = next(preload.subscriptions(1, 4))
    subscription = decode(subscribed)
    assert subscription is not None and subscription.shipment_id.encode() == shipment
    assert len(subscription.recipients) == 3


def test_claims_of_a_former_life_leave_nothing_in_doubt() -> None:
    rows = list(preload.claims(1_000, 4))
    assert len(rows) == pytest.approx(1_000, abs=16)
    assert len({key for _, key, _ in rows}) == 8, "a row for each lane partition, written over and over"
    last = {key: value for _, key, value in rows}
    for value in last.values():
        claims = PartitionClaims([value])
        assert not claims.in_doubt and not claims.done_before


def test_what_is_expected_goes_out_from_the_groups_first_point() -> None:
    def measured(point: Point, lost_s: float) -> Measured:
        recovery = Recovery(ready_s=lost_s, takeover_s=1.0)
        return Measured(point=point, run=RUN, kept=Recovery(ready_s=4.0, takeover_s=0.5), lost=recovery)

    rows = [one for one in POINTS if one.group == "rows"]
    found = summary({one.name: [measured(one, 5.0 + number)] for number, one in enumerate(rows)})
    assert found["points"]["rows-0"]["expected"]["lost_s"] == 5.0
    assert found["points"]["rows-1M"]["expected"]["lost_s"] == round(5.0 + 1_000_000 / RECOVERED_PER_S, 1)
    assert found["points"]["rows-5M"]["lost_s"] == 7.0
    assert table(found["points"]).row_count == 3


def test_of_many_measurements_of_a_point_the_middle_counts() -> None:
    (point,) = [one for one in POINTS if one.name == "rows-5M"]
    back = Recovery(ready_s=4.0, takeover_s=1.0)
    some = [
        Measured(point=point, run=RUN, kept=back, lost=Recovery(ready_s=lost_s, takeover_s=1.0))
        for lost_s in (9.0, 20.0, 8.0)
    ]
    (found,) = summary({point.name: some})["points"].values()
    assert (found["lost_s"], found["rounds"]) == (9.0, 3)
    assert found["cpu_us_by_worker"].keys() == RUN.cpu_s.keys()


def test_points_of_a_group_are_measured_in_turns() -> None:
    names = [point.value for point in in_turns([one for one in POINTS if one.partitions == 4])]
    assert names == ["1x4", "2x4", "4x4"] * 3 + ["1K", "100K", "1M"] * 3 + ["0", "1M", "5M"] * 3


def test_a_group_that_is_measured_in_part_is_expected_by_what_was() -> None:
    back = Recovery(ready_s=4.0, takeover_s=1.0)
    some = [one for one in POINTS if one.name in {"workers-2x4", "workers-4x4"}]
    found = summary({one.name: [Measured(point=one, run=RUN, kept=back, lost=back)] for one in some})
    assert [one["expected"]["peak_mb"] for one in found["points"].values()] == [300, 600]


def test_a_part_that_is_measured_anew_takes_its_place_among_what_is_recorded() -> None:
    recorded = {one.name: {"per_s": 1} for one in POINTS}
    merged = among({"workers-2x4": {"per_s": 2}}, recorded)
    assert list(merged) == [one.name for one in POINTS]
    assert [name for name, one in merged.items() if one["per_s"] == 2] == ["workers-2x4"]
    assert list(among({"rows-1M": {"per_s": 2}}, {})) == ["rows-1M"]
