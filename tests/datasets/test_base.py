import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pointgen.batch import collate
from pointgen.datasets import CloudDataset


def clouds(count=5, size=80, shift=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, 3)) * scale + shift for _ in range(count)]


def same(first, second):
    return torch.equal(first.points, second.points) and torch.equal(first.target, second.target)


def test_an_item_is_the_first_points_of_both_pools(listed):
    data = CloudDataset(listed(clouds(), labels=[0, 1, 0, 1, 0]), num_points=8, normalize="none")
    item = data[3]
    cloud = clouds()[3].astype(np.float32)
    np.testing.assert_array_equal(item.points, cloud[:8])
    np.testing.assert_array_equal(item.target, cloud[40:48])
    assert (item.label, item.id) == (1, "shape3")
    assert item.points.dtype == item.target.dtype == torch.float32
    assert len(data) == len(list(data)) == 5
    with pytest.raises(IndexError):
        data[5]


def test_draws_follow_the_generator(listed):
    data = CloudDataset(listed(clouds()), num_points=16, normalize="global")
    first = data.draw(2, np.random.default_rng(7))
    assert same(first, data.draw(2, np.random.default_rng(7)))
    assert not same(first, data.draw(2, np.random.default_rng(8)))


def test_a_draw_halves_its_choice_of_the_first_pool_and_leaves_the_second_for_evaluation(listed):
    data = CloudDataset(listed(clouds()), num_points=20, normalize="none")
    item = data.draw(0, np.random.default_rng(0))
    pool = clouds()[0][:40].astype(np.float32)
    drawn = np.concatenate([item.points, item.target])
    np.testing.assert_array_equal(np.unique(drawn, axis=0), np.unique(pool, axis=0))
    assert not np.array_equal(drawn, pool)


def test_an_item_does_not_write_into_its_pool(listed):
    data = CloudDataset(listed(clouds()), num_points=8, normalize="none")
    data[0].points.zero_()
    assert data[0].points.abs().min() > 0


def test_points_are_the_targets(listed):
    data = CloudDataset(listed(clouds()), num_points=8, normalize="shape_unit")
    assert torch.equal(data.points(), torch.stack([item.target for item in data]))
    assert data.points().dtype == torch.float32
    assert torch.equal(data.points(2), data.points()[:2])
    assert torch.equal(data.points(100), data.points())


def test_global_standardization_is_pointflows(listed):
    given = clouds(shift=(5.0, 0.0, -1.0), scale=(1.0, 2.0, 3.0))
    units = CloudDataset(listed(given), num_points=8, normalize="global").standardization()
    everything = np.concatenate(given).astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(units.mean, everything.mean(axis=0))
    # around the one mean of all coordinates, not around the mean of each axis
    np.testing.assert_allclose(units.std, np.full(3, everything.reshape(-1).std()))


def test_standardization_per_axis_weighs_points_and_stays_exact_far_away(listed):
    given = [np.random.default_rng(i).normal(size=(20 + 60 * i, 3)) + 1000 for i in range(4)]
    units = CloudDataset(listed(given), num_points=8, normalize="per_axis").standardization()
    everything = np.concatenate(given).astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(units.mean, everything.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(units.std, everything.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("height", [0.0, 0.1, 1e4])
def test_an_axis_without_extent_gets_std_one(listed, height):
    given = clouds(count=7, size=78, scale=(1, 0, 1), shift=(0, height, 0))
    units = CloudDataset(listed(given), num_points=8, normalize="per_axis").standardization()
    assert units.std[1] == 1
    assert 0.8 < units.std[0] < 1.2


def test_none_leaves_the_units_alone(listed):
    units = CloudDataset(listed(clouds()), num_points=8, normalize="none").standardization()
    np.testing.assert_array_equal([units.mean, units.std], [np.zeros(3), np.ones(3)])


@pytest.mark.parametrize("kind", ["shape_unit", "shape_bbox", "shape_std"])
def test_each_shape_has_one_frame_for_both_pools(listed, kind):
    given = clouds(size=200, shift=(3, 4, 5), scale=(1, 2, 30))
    data = CloudDataset(listed(given), num_points=100, normalize=kind)
    for index, item in enumerate(data):
        whole = torch.cat([item.points, item.target]).double().numpy()
        ratio = whole.std(axis=0) / given[index].std(axis=0)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)  # one scale, so no distortion
        if kind == "shape_bbox":
            np.testing.assert_allclose(whole.min(axis=0) + whole.max(axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(np.ptp(whole, axis=0).max(), 2, rtol=1e-5)
        else:
            np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-5)
        if kind == "shape_unit":
            np.testing.assert_allclose(np.linalg.norm(whole, axis=1).max(), 1, rtol=1e-5)
        if kind == "shape_std":
            np.testing.assert_allclose(whole.std(), 1, rtol=1e-4)
            np.testing.assert_allclose(data.standardization().std, 1, rtol=1e-4)


def test_a_shape_without_size_is_named(listed):
    data = CloudDataset(listed([np.ones((20, 3))]), num_points=4, normalize="shape_unit")
    with pytest.raises(ValueError, match="shape0: points: all 20 points coincide"):
        data[0]


def test_too_few_points_are_named(listed):
    data = CloudDataset(listed(clouds(size=10)), num_points=6, normalize="none")
    with pytest.raises(ValueError, match=r"shape1: expected .* num_points = 6, got 5 and 5"):
        data[1]
    with pytest.raises(ValueError, match="num_points: expected at least 1, got 0"):
        CloudDataset(listed(clouds()), num_points=0)


def test_a_copy_by_pickle_draws_the_same(listed):
    data = CloudDataset(listed(clouds()), num_points=8, normalize="shape_std")
    copy = pickle.loads(pickle.dumps(data))
    assert same(copy.draw(1, np.random.default_rng(3)), data.draw(1, np.random.default_rng(3)))


def test_workers_yield_what_the_process_itself_does(listed):
    data = CloudDataset(listed(clouds()), num_points=8, normalize="shape_bbox")
    alone, shared = (
        list(DataLoader(data, batch_size=2, collate_fn=collate, num_workers=workers))
        for workers in (0, 2)
    )
    assert [batch.id for batch in alone] == [batch.id for batch in shared]
    assert all(torch.equal(a.points, b.points) for a, b in zip(alone, shared, strict=True))
    assert all(torch.equal(a.target, b.target) for a, b in zip(alone, shared, strict=True))
