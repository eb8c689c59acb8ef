import numpy as np
import pytest

from pointgen.images import augmented, framed, random_background, random_window

SEEDS = range(40)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_picture(disc, seed):
    one, two = (augmented(disc(), np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != augmented(disc(), np.random.default_rng(seed + 100))).any()


def test_the_input_is_left_alone(disc):
    rgba = disc()
    for seed in SEEDS:
        got = augmented(rgba, np.random.default_rng(seed))
        assert got.shape == rgba.shape
        assert got.dtype == np.uint8
    np.testing.assert_array_equal(rgba, disc())


def test_shape_and_place_stay_and_nothing_is_mirrored(disc):
    rgba = disc()
    rgba[:, 68:] = 0  # the left half of a disc
    for seed in SEEDS:
        got = augmented(rgba, np.random.default_rng(seed))[..., 3].astype(float)
        assert np.abs(got - rgba[..., 3]).mean() < 4
        assert got[:, 75:].max() == 0


def test_most_pictures_stay_sharp(disc):
    sharp = [
        (augmented(disc(), np.random.default_rng(s))[..., 3] == disc()[..., 3]).all() for s in SEEDS
    ]
    assert 0.5 < np.mean(sharp) < 1


def test_colours_hidden_in_transparent_pixels_never_show(disc):
    for seed in SEEDS:
        hidden = [
            framed(augmented(disc(hidden=colour), np.random.default_rng(seed)), 64)
            for colour in ((0, 0, 0), (0, 255, 0))
        ]
        np.testing.assert_allclose(*hidden, atol=0.02)


def test_grey_stays_grey_up_to_noise_and_colours_vary():
    grey = np.full((50, 50, 4), (90, 90, 90, 255), np.uint8)
    red = np.full((50, 50, 4), (160, 60, 60, 255), np.uint8)
    means = np.array([augmented(grey, np.random.default_rng(s)).mean((0, 1)) for s in SEEDS])
    np.testing.assert_allclose(np.ptp(means[:, :3], axis=1), 0, atol=1)
    hues = np.array([augmented(red, np.random.default_rng(s)).mean((0, 1)) for s in SEEDS])
    assert means[:, 0].std() > 5
    assert (hues[:, 1] - hues[:, 2]).std() > 5
    assert (hues[:, 0] > hues[:, 1:3].max(axis=1)).all()  # red stays red


@pytest.mark.parametrize("level", [15, 240])
def test_dark_and_bright_objects_do_not_become_silhouettes(level):
    """Some of the 31 shades that an object has are still there."""
    ramp = np.full((40, 40, 4), 255, np.uint8)
    ramp[..., :3] = np.linspace(level - 15, level + 15, 40).astype(np.uint8)[:, None, None]
    for seed in SEEDS:
        rows = augmented(ramp, np.random.default_rng(seed))[..., :3].mean(axis=(1, 2))
        assert np.ptp(rows) > 5


def test_one_pixel_and_nothing_visible():
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert augmented(np.zeros((1, 1, 4), np.uint8), rng).shape == (1, 1, 4)


def test_windows_are_around_the_usual_one(disc):
    rng = np.random.default_rng(0)
    windows = [random_window(rng) for _ in range(300)]
    margins = np.array([w.margin for w in windows])
    shifts = np.array([w.shift for w in windows])
    assert margins.min() > 0.0
    assert margins.max() < 0.2
    assert margins.mean() == pytest.approx(0.1, abs=0.01)
    assert np.abs(shifts).max() <= 0.04
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=0.005)
    picture = framed(disc(), 32, margin=windows[0].margin, shift=windows[0].shift)
    assert (picture != framed(disc(), 32)).any()


def test_backgrounds_are_white_grey_and_coloured():
    rng = np.random.default_rng(0)
    colours = np.array([random_background(rng) for _ in range(300)])
    white = (colours == 1).all(axis=1)
    grey = (np.ptp(colours, axis=1) == 0) & ~white
    assert colours.min() >= 0
    assert colours.max() <= 1
    for kind in (white, grey, ~white & ~grey):
        assert kind.mean() == pytest.approx(1 / 3, abs=0.1)
