"""Damage to clouds: what is left is of the cloud, and as much as was asked for."""

import pytest
import torch

from pointgen.geometry.damage import blurred, cut, kept


@pytest.fixture
def clouds():
    return torch.randn(3, 50, 3)


def rows(cloud):
    return {tuple(point) for point in cloud.tolist()}


def test_a_cut_takes_one_side_away(clouds):
    found = cut(clouds, 0.3, torch.Generator().manual_seed(0))
    assert found.shape == (3, 35, 3)
    for whole, part in zip(clouds, found, strict=True):
        left = rows(part)
        lost = torch.tensor([point for point in whole.tolist() if tuple(point) not in left])
        assert left < rows(whole) and len(lost) == 15
        # A plane parts them: a perceptron with such data ends.
        points = torch.cat([part, lost])
        side = torch.cat([-torch.ones(35), torch.ones(15)])
        plane = torch.zeros(4)
        extended = torch.cat([points, torch.ones(50, 1)], dim=1)
        for _ in range(2000):
            wrong = (extended @ plane * side <= 0).nonzero().flatten()
            if not len(wrong):
                break
            plane += side[wrong[0]] * extended[wrong[0]]
        assert not len(wrong)


def test_directions_differ_between_clouds(clouds):
    same = clouds[:1].expand(3, -1, -1)
    found = cut(same, 0.4)
    assert not torch.equal(found[0], found[1])


def test_what_is_kept_is_of_the_cloud_and_none_twice(clouds):
    found = kept(clouds, 20)
    for whole, part in zip(clouds, found, strict=True):
        assert rows(part) < rows(whole) and len(rows(part)) == 20
    assert rows(kept(clouds, 50)[0]) == rows(clouds[0])
    with pytest.raises(ValueError, match="count: expected 1 to 50 points, got 51"):
        kept(clouds, 51)


def test_noise_is_as_loud_as_asked(clouds):
    sigma = torch.tensor([0.1, 1.0, 10.0]).view(3, 1, 1)
    noise = blurred(clouds.repeat(1, 200, 1), sigma) - clouds.repeat(1, 200, 1)
    torch.testing.assert_close(noise.std((1, 2)), sigma.flatten(), rtol=0.02, atol=0)


def test_the_same_generator_gives_the_same_damage(clouds):
    for damage in (lambda g: cut(clouds, 0.3, g), lambda g: kept(clouds, 9, g)):
        assert torch.equal(*(damage(torch.Generator().manual_seed(1)) for _ in range(2)))


def test_no_cloud_is_refused():
    with pytest.raises(ValueError, match=r"points: expected \(B, N, 3\)"):
        cut(torch.zeros(1, 0, 3), 0.2)
