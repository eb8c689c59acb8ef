"""Pairs of shapes: what they share is alike, and everything else is drawn anew."""

import numpy as np
import pytest
from pydantic import ValidationError

from pointgen.batch import collate
from pointgen.datasets import PairsConfig, ProceduralConfig

FACTORS = {"legs": ("seat_height", "legs", "leg_splay"), "seat": ("seat_width", "seat_depth")}


def pairs(**changes):
    settings = {"clouds": ProceduralConfig(size=12), "factors": FACTORS, "num_points": 400}
    return PairsConfig(**(settings | changes))


@pytest.fixture(scope="module")
def chairs():
    return pairs().build("train")


def width(cloud):
    return float(cloud[:, 0].max() - cloud[:, 0].min())


def test_items_have_a_partner_a_factor_and_attributes(chairs):
    batch = collate([chairs.draw(place, np.random.default_rng(place)) for place in range(12)])
    assert batch.partner.shape == (12, 400, 3) and batch.attributes.shape == (12, 5)
    assert set(batch.factor.tolist()) == {0, 1}
    assert batch.to("cpu").partner is not None
    fixed = [chairs[place].factor for place in range(4)]
    assert fixed == [0, 1, 0, 1]


def test_attributes_are_those_that_the_shape_was_built_from(chairs):
    """A chair without arms is as wide as its seat, or as its splayed legs."""
    found = 0
    for place in range(12):
        item = chairs[place]
        seat_height, _, splay, seat_width, _ = item.attributes.tolist()
        assert 0.3 < seat_height < 0.5
        if splay == 0:
            assert width(item.points) == pytest.approx(seat_width, abs=0.03)
            found += 1
    assert found >= 3


def test_partners_share_their_factor_and_not_the_other(chairs):
    """Partners in the seat have its width; partners in the legs do not."""
    gaps = {0: [], 1: []}
    for place in range(12):
        for number in range(12):
            item = chairs.draw(place, np.random.default_rng(number))
            if item.attributes[2] == 0:  # the legs do not stand out
                gaps[item.factor].append(abs(width(item.partner) - item.attributes[3].item()))
    assert len(gaps[0]) > 4 and len(gaps[1]) > 4
    assert np.median(gaps[1]) < 0.05
    assert np.median(gaps[0]) > np.median(gaps[1])


def test_the_same_settings_give_the_same_pairs(chairs):
    again = pairs().build("train")
    for place in (0, 7):
        one, other = (data.draw(place, np.random.default_rng(3)) for data in (chairs, again))
        assert one.partner.equal(other.partner) and one.factor == other.factor
    assert not pairs().build("val")[0].partner.equal(chairs[0].partner)


def test_each_stands_in_its_own_frame():
    data = pairs(normalize="shape_bbox").build("train")
    for place in range(3):
        item = data.draw(place, np.random.default_rng(0))
        for cloud in (item.points, item.partner):
            assert 0.9 < float((cloud.max(0).values - cloud.min(0).values).max()) / 2 <= 1.1


@pytest.mark.parametrize("normalize", ("shape_unit", "shape_bbox", "shape_std", "none"))
def test_a_shape_lies_where_it_lies_as_a_partner(normalize):
    clouds = ProceduralConfig(size=3)
    factors = {"kind": ("chair",)}
    data = pairs(clouds=clouds, factors=factors, num_points=64, normalize=normalize).build("train")
    for place in range(3):
        assert data[place].partner.equal(data[(place + 1) % 3].points)


def test_shapes_of_a_category_share_it():
    clouds = ProceduralConfig(categories=("sphere", "table"), size=5)
    data = pairs(clouds=clouds, factors={"kind": ("sphere", "table")}).build("train")
    assert data[0].attributes.tolist() == [1, 0] and data[7].attributes.tolist() == [0, 1]
    middle = [float(data[place].partner.norm(dim=-1).std()) for place in range(10)]
    assert max(middle[:5]) < 0.01 < min(middle[5:])  # all of a sphere is equally far from it
    assert not data[0].partner.equal(data[0].points)


@pytest.mark.parametrize("count", (1, 2, 5))
def test_a_shape_is_no_partner_of_its_own_unless_it_is_alone(tmp_path, count):
    for number in range(2 * count):  # all points of a shape are its number
        folder = tmp_path / ("mug" if number < count else "table") / "train"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number}.npy", np.full((30, 3), number))
    clouds = {"kind": "pc15k", "root": tmp_path}
    settings = {"factors": {"kind": ("mug", "table")}, "num_points": 10, "normalize": "none"}
    data = pairs(clouds=clouds, **settings).build("train")
    for place in range(2 * count):
        drawn = [data.draw(place, np.random.default_rng(number)) for number in range(60)]
        of_its_kind = set(range(count)) if place < count else set(range(count, 2 * count))
        assert {int(item.partner[0, 0]) for item in drawn} == (of_its_kind - {place} or {place})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factors": {}}, "expected a factor"),
        ({"factors": {"legs": ()}}, "legs: expected attributes, got none"),
        ({"factors": {"a": ("arms",), "b": ("arms",)}}, "got arms more than once"),
    ],
)
def test_factors_are_checked_when_they_are_read(changes, said):
    with pytest.raises(ValidationError, match=said):
        pairs(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factors": {"a": ("wings",)}}, "data.factors.a: a chair has no wings; it has seat_width"),
        ({"clouds": ProceduralConfig(categories=("mug", "table"), size=2)}, "expected one, as"),
    ],
)
def test_factors_that_the_shapes_do_not_have_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        pairs(**changes).build("train")


def test_only_built_in_shapes_have_attributes(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / "mug" / split).mkdir(parents=True)
        np.save(tmp_path / "mug" / split / "a.npy", np.random.default_rng(0).random((1500, 3)))
    clouds = {"kind": "pc15k", "root": tmp_path, "categories": ["mug"]}
    with pytest.raises(ValueError, match="one factor of the categories mug"):
        pairs(clouds=clouds).build("train")
