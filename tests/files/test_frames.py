"""Clouds with their way from noise."""

import numpy as np
import pytest

from pointgen.files import FileError, read_clouds, read_frames, write_clouds, write_frames


def test_ways_come_back_and_every_reader_finds_the_clouds_at_their_ends(tmp_path):
    frames = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    path = write_frames(tmp_path / "ways.npz", frames, ids=["a", "b"])
    assert np.array_equal(read_frames(path), frames)
    clouds = read_clouds(path)
    assert [cloud.id for cloud in clouds] == ["a", "b"]
    assert np.array_equal(np.stack([cloud.points for cloud in clouds]), frames[:, -1])


def test_files_without_a_way_have_none(tmp_path):
    for name in ("clouds.npz", "clouds.npy"):
        write_clouds(tmp_path / name, np.zeros((2, 7, 3)))
        assert read_frames(tmp_path / name) is None


def test_other_endings_and_broken_ways_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"ends in \.npz"):
        write_frames(tmp_path / "ways.ply", np.zeros((1, 2, 3, 3)), ids=["a"])
    for broken in (np.zeros((2, 7, 3)), np.full((1, 2, 3, 3), np.nan), np.array(["a"])):
        path = tmp_path / "broken.npz"
        np.savez(path, points=np.zeros((1, 3, 3)), frames=broken)
        with pytest.raises(FileError, match=r"broken\.npz: frames"):
            read_frames(path)
