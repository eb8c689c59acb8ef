import numpy as np
import pytest

from pointgen.datasets.facts import facts_of
from pointgen.datasets.procedural.config import sampled_shape
from pointgen.datasets.stance import stance_findings, stances
from pointgen.datasets.survey import Examined, Group, Name

KNOWN = ("airplane", "car", "chair", "lamp", "table")
TURNS = {"x": [1, 0, 2], "y": [0, 1, 2], "z": [0, 2, 1]}  # swap y with the axis


def built_in(category, turn=lambda points: points, count=12):
    """Examined shapes of a category, by group."""
    shapes = []
    for index in range(count):
        _, points = sampled_shape(category, index, split="train", seed=0, count=2000)
        facts = facts_of(turn(points).astype(np.float32))
        shapes.append(Examined(Name("train", category, str(index)), facts, facts.digest))
    return {Group(category, "train"): shapes}


@pytest.mark.parametrize("category", KNOWN)
@pytest.mark.parametrize("axis", "xyz")
def test_the_up_axis_of_kinds_that_stand_in_a_known_way(category, axis):
    groups = built_in(category, lambda points: points[:, TURNS[axis]])
    (stance,) = stances(groups)
    assert stance.up == axis
    kinds = [finding.kind for finding in stance_findings(groups, [stance])]
    assert kinds == ([] if axis == "y" else ["up axis"])


@pytest.mark.parametrize("category", ["box", "sphere", "torus"])
def test_what_cannot_be_told_is_not_told(category):
    (stance,) = stances(built_in(category))
    assert stance.up is None


def test_too_few_shapes_say_nothing():
    (stance,) = stances(built_in("chair", count=5))
    assert stance.up is None


def test_tables_on_their_heads():
    (stance,) = stances(built_in("table", lambda points: points * np.array([1, -1, -1])))
    assert stance.up == "-y"


@pytest.mark.parametrize(("sign", "up"), [(1, "z"), (-1, "-z")])
def test_things_of_any_kind_that_stand_on_a_floor(sign, up):
    def stand(points):
        points = points[:, [0, 2, 1]]
        return (points - np.array([0.2, 0.1, points[:, 2].min()])) * np.array([1, sign, sign])

    (stance,) = stances(built_in("mug", stand))
    assert stance.up == up
