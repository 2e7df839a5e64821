"""One thing goes wrong in a clean account: the checker finds it, says where, and finds nothing else."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checker import check
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.common import Found
from tests.unit.chaos.plants.every import PLANTS
from tests.unit.chaos.scene import Scene, clean

SEEDS = st.integers(0, 1 << 32)


def found(scene: Scene) -> Found:
    return {(one.breach, one.stage, one.id) for one in check(scene.account()).violations}


@settings(deadline=None)
@given(seed=SEEDS)
def test_a_clean_account_is_clean(seed: int) -> None:
    scene = clean(Random(seed))

    verdict = check(scene.account())

    assert not verdict.violations
    assert verdict.ok
    assert verdict.notifications == verdict.ended == len(scene.notes)


@pytest.mark.parametrize("name", PLANTS)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_what_is_planted_is_found_and_nothing_else(name: str, seed: int) -> None:
    dice = Random(seed)
    scene = clean(dice)

    expected = PLANTS[name](scene, dice)

    assert expected
    assert found(scene) == expected
    assert not check(scene.account()).ok


def test_every_breach_has_a_plant() -> None:
    breaches = set()
    for plant in PLANTS.values():
        dice = Random(1)
        breaches |= {breach for breach, _, _ in plant(clean(dice), dice)}

    assert breaches == set(Breach)
