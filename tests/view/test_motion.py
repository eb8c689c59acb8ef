"""Turntables and ways from noise, read back by Pillow."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

from pointgen.view.clouds import Shape
from pointgen.view.motion import EASE, save_motion
from pointgen.view.still import draw


def frames_of(path):
    with Image.open(path) as moving:
        return [
            np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(moving)
        ]


@pytest.mark.parametrize("ending", ["gif", "webp", "apng"])
def test_a_turn_shows_every_side_and_stands_still(ending, chair, tmp_path):
    path = tmp_path / f"turn.{ending}"
    save_motion(path, [chair], size=64, frames=6)
    frames = frames_of(path)
    assert len(frames) == 6
    sides = [np.abs(frame - frames[0]).mean() for frame in frames[1:]]
    assert min(sides) > 1  # a chair looks different from each side
    for frame in frames:
        marked = np.ptp(frame, axis=2) > 25
        assert marked.any() and not marked[[0, -1]].any() and not marked[:, [0, -1]].any()


def test_a_way_begins_as_noise_and_ends_as_the_still(chair, tmp_path):
    noise = np.random.default_rng(0).normal(size=chair.shape).astype(np.float32)
    way = Shape(chair, frames=np.stack([noise, (noise + chair) / 2, chair]))
    path = tmp_path / "way.apng"
    seen = []
    save_motion(path, [way], size=64, progress=lambda done, total: seen.append((done, total)))
    frames = frames_of(path)
    assert len(frames) == EASE and seen[-1] == (EASE, EASE)
    still = np.asarray(draw([chair], size=64)).astype(int)
    assert np.abs(frames[-1] - still).max() <= 1
    distance = [np.abs(frame - still).mean() for frame in frames]
    assert min(distance[:12]) > distance[-2] > distance[-1]


def test_another_ending_and_a_single_frame_are_refused(chair, tmp_path):
    with pytest.raises(ValueError, match=r"ends in .gif, .webp, .apng"):
        save_motion(tmp_path / "turn.mp4", [chair])
    with pytest.raises(ValueError, match="frames: expected at least 2"):
        save_motion(tmp_path / "turn.gif", [chair], frames=1)
