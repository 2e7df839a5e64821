"""What can be planted in a clean scene, and what must be found then? Each plant is one thing that goes wrong.

A plant changes the scene and returns every violation that it must lead to.
"""

from tests.unit.chaos.plants import contradictions, letters, losses, repeats
from tests.unit.chaos.plants.common import Plant

PLANTS: dict[str, Plant] = {
    plant.__name__.replace("_", " "): plant
    for plant in (*losses.PLANTS, *contradictions.PLANTS, *repeats.PLANTS, *letters.PLANTS)
}
