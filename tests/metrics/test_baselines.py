import torch

from pointgen.geometry.distances import chamfer
from pointgen.metrics.baselines import mean_cloud, nearest_pictures, pixels


def generator():
    return torch.Generator().manual_seed(0)


def test_the_mean_of_equal_clouds_is_that_cloud():
    cloud = torch.rand(64, 3)
    mean = mean_cloud(cloud.expand(5, -1, -1), 64, generator=generator())
    start = cloud[torch.randint(64, (64,), generator=generator())]
    assert chamfer(mean[None], cloud[None]) < 0.7 * chamfer(start[None], cloud[None])


def test_no_single_cloud_of_the_set_is_nearer_to_all():
    sides = 0.5 + torch.rand(12, 1, 3)
    clouds = sides * (torch.rand(12, 64, 3) - 0.5)
    mean = mean_cloud(clouds, 64, generator=generator())
    own = chamfer(mean.expand_as(clouds), clouds).mean()
    others = [chamfer(cloud.expand_as(clouds), clouds).sum() / 11 for cloud in clouds]
    assert own < min(others)


def test_the_mean_lives_in_the_units_of_the_clouds():
    clouds = torch.rand(4, 32, 3)
    one, other = (
        mean_cloud(scale * clouds + shift, 32, generator=generator(), steps=20)
        for scale, shift in ((1, 0), (100, 7))
    )
    torch.testing.assert_close(100 * one + 7, other, rtol=1e-5, atol=1e-3)


def test_a_picture_finds_itself_in_other_light_and_colour():
    pictures = torch.rand(6, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    other = 0.2 + 0.5 * pictures[[4, 1, 5]].mean(1, keepdim=True) * torch.tensor(
        [1, 0.5, 0.8]
    ).view(3, 1, 1)
    assert nearest_pictures(pixels(other), pixels(pictures)).tolist() == [4, 1, 5]
