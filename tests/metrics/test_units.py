import pytest
import torch

from pointgen.metrics.units import UNITS, in_units


def clouds():
    return torch.rand(4, 30, 3) * torch.tensor([3.0, 1.0, 2.0]) + 5


def test_data_units_change_nothing():
    given = clouds()
    assert in_units(given, "data") is given


@pytest.mark.parametrize(("units", "half"), [("box", 1.0), ("half_box", 0.5)])
def test_a_box_is_centred_and_its_longest_side_fits(units, half):
    made = in_units(clouds(), units)
    low, high = made.amin(dim=1), made.amax(dim=1)
    torch.testing.assert_close(low, -high)
    torch.testing.assert_close(high.amax(dim=1), torch.full((4,), half))


def test_std_is_one_around_the_mean():
    made = in_units(clouds(), "std")
    torch.testing.assert_close(made.mean(dim=1), torch.zeros(4, 3))
    torch.testing.assert_close(made.square().mean(dim=(1, 2)), torch.ones(4))


@pytest.mark.parametrize("units", sorted(set(UNITS) - {"data"}))
def test_moving_and_scaling_a_cloud_makes_no_difference_to_units_of_its_own(units):
    given = clouds()
    torch.testing.assert_close(in_units(given * 7 - 40, units), in_units(given, units))


@pytest.mark.parametrize("units", sorted(set(UNITS) - {"data"}))
def test_a_cloud_without_size_has_no_such_units_and_its_neighbours_do(units):
    given = clouds()
    given[1] = 0.1
    made = in_units(given, units)
    assert made[1].isnan().all()
    assert made[[0, 2, 3]].isfinite().all()


def test_unknown_units_are_named():
    with pytest.raises(ValueError, match=r"^units: expected one of data, .*, got 'feet'$"):
        in_units(clouds(), "feet")
