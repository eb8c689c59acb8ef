import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointgen.datasets import MeshesConfig, Pc15kConfig, ProceduralConfig
from pointgen.datasets.procedural.config import sampled_shape
from pointgen.datasets.renderings.layout import folder_of, read_cameras
from pointgen.datasets.renderings.meshes import subjects
from pointgen.datasets.renderings.shade import framed, render
from pointgen.datasets.renderings.write import RenderSettings, write_renderings
from pointgen.files import FileError
from pointgen.geometry.cameras import ViewCamera

CHAIRS = ProceduralConfig(categories=("chair",), size=2, val_size=1, test_size=1)
QUICK = RenderSettings(views=4, size=64)


def read_alpha(path):
    return np.asarray(Image.open(path))[..., 3]


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def square():
    """A square of side 0.4 that faces +x."""
    corners = 0.2 * np.array([[0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]])
    return corners, np.array([[0, 1, 2], [0, 2, 3]])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("pictures")
    result = write_renderings(CHAIRS, out, QUICK, processes=1)
    assert (result.rendered, result.found, result.problems) == (4, 0, ())
    return out


def test_the_layout_is_that_of_3d_r2n2(rendered):
    shapes = sorted(path.name for path in (rendered / "chair").iterdir())
    assert shapes == ["chair_00000", "chair_00001", "chair_test_00000", "chair_val_00000"]
    folder = rendered / "chair" / "chair_00000" / "rendering"
    names = [f"{view:02d}.png" for view in range(4)]
    assert sorted(path.name for path in folder.glob("*.png")) == names
    assert (folder / "renderings.txt").read_text().split() == names
    assert len(read_cameras(folder / "rendering_metadata.txt")) == 4
    with Image.open(folder / "00.png") as picture:
        assert (picture.mode, picture.size) == ("RGBA", (64, 64))


@pytest.mark.parametrize("category", ["chair", "airplane", "mug"])
def test_the_points_of_a_shape_fill_its_mask(tmp_path, category):
    config = ProceduralConfig(categories=(category,), size=1, val_size=1, test_size=1)
    write_renderings(config, tmp_path, RenderSettings(4, 137), splits=["train"])
    shape, points = sampled_shape(category, 0, split="train", seed=0, count=60_000)
    points = framed(np.concatenate([shape.vertices, points]))
    folder = tmp_path / folder_of(category, f"{category}_00000")
    for view, camera in enumerate(read_cameras(folder / "rendering_metadata.txt")):
        alpha = read_alpha(folder / f"{view:02d}.png")
        x, y = np.floor(camera.project(points, 137)[0]).astype(int).T
        assert (alpha[y, x] > 0).mean() > 0.99
        seen = np.zeros(alpha.shape, bool)
        seen[y, x] = True
        assert seen[alpha == 255].mean() > 0.97


def test_a_flat_square_covers_as_much_as_the_camera_says():
    before, beside = ViewCamera(0, 0, distance=1.4), ViewCamera(90, 0, distance=1.4)
    first, second = render(*square(), [before, beside], 100, np.random.default_rng(0))
    side = 50 * before.focal * 0.4 / 1.4
    assert abs((first[..., 3] / 255).sum() - side**2) < 0.03 * side**2
    assert second[..., 3].max() == 0  # has no thickness
    assert (first[first[..., 3] == 0] == 0).all()


def test_winding_does_not_matter():
    vertices, faces = square()
    cameras = [ViewCamera(20, 30), ViewCamera(200, 30)]
    one = list(render(vertices, faces, cameras, 32, np.random.default_rng(0)))
    two = list(render(vertices, faces[:, ::-1], cameras, 32, np.random.default_rng(0)))
    assert np.array_equal(one, two)


def test_a_lid_throws_a_shadow():
    floor = np.array([[-0.3, 0, -0.3], [0.3, 0, -0.3], [0.3, 0, 0.3], [-0.3, 0, 0.3]])
    _, pair = square()
    lid = floor * 0.8 + [0, 0.12, 0]
    camera = [ViewCamera(0, 12)]  # looks in between

    def brightness(vertices, faces):
        (picture,) = render(vertices, faces, camera, 64, np.random.default_rng(3))
        return picture[32, 32, :3].astype(int).sum()

    covered = np.concatenate([floor, lid]), np.concatenate([pair, pair + 4])
    assert brightness(*covered) < 0.75 * brightness(floor, pair)


def test_pictures_do_not_depend_on_the_number_of_processes(rendered, tmp_path):
    write_renderings(CHAIRS, tmp_path, QUICK, processes=2)
    assert contents(tmp_path) == contents(rendered)


def test_seeds_and_shapes_give_other_pictures(rendered, tmp_path):
    write_renderings(CHAIRS, tmp_path, RenderSettings(4, 64, seed=1), splits=["val"])
    name = folder_of("chair", "chair_val_00000") / "00.png"
    assert (tmp_path / name).read_bytes() != (rendered / name).read_bytes()
    cameras = [path.read_text() for path in rendered.rglob("rendering_metadata.txt")]
    assert len(set(cameras)) == 4


def test_a_second_run_makes_what_is_missing(rendered, tmp_path):
    out = tmp_path / "pictures"
    write_renderings(CHAIRS, out, QUICK, splits=["val", "test"])
    half = out / folder_of("chair", "chair_val_00000")
    (half / "rendering_metadata.txt").unlink()  # what a killed run leaves
    (half / "03.png").write_bytes(b"half")
    torn = out / folder_of("chair", "chair_00000") / ".f00.json"  # killed before anything else
    torn.parent.mkdir(parents=True)
    torn.touch()
    os.utime(out / folder_of("chair", "chair_test_00000") / "00.png", (1, 1))
    seen = []
    result = write_renderings(CHAIRS, out, QUICK, progress=lambda *state: seen.append(state))
    assert (result.rendered, result.found) == (3, 1)
    assert seen == [(2, 4), (3, 4), (4, 4)]
    assert (out / folder_of("chair", "chair_test_00000") / "00.png").stat().st_mtime == 1
    torn.unlink()
    assert contents(out) == contents(rendered)
    (half / "02.png").unlink()
    assert write_renderings(CHAIRS, out, QUICK).rendered == 1


@pytest.mark.skipif(os.name != "posix", reason="signals of posix systems")
def test_after_a_kill_every_shape_with_cameras_is_complete(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from pointgen.datasets import ProceduralConfig\n"
        "from pointgen.datasets.renderings.write import RenderSettings, write_renderings\n"
        "config = ProceduralConfig(size=400, val_size=1, test_size=1)\n"
        "write_renderings(config, Path(sys.argv[1]), RenderSettings(4, 64), processes=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while not list(tmp_path.rglob("rendering_metadata.txt")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = list(tmp_path.rglob("rendering_metadata.txt"))
    assert 0 < len(done) < 402
    for path in done:
        assert len(read_cameras(path)) == 4
        assert [read_alpha(path.parent / f"0{view}.png").shape for view in range(4)]
    few = ProceduralConfig(size=len(done) + 1, val_size=1, test_size=1)
    result = write_renderings(few, tmp_path, QUICK, splits=["train"])
    assert result.found == len(done)


@pytest.mark.parametrize(
    ("config", "settings", "found"),
    [
        (CHAIRS, RenderSettings(3, 64), "views 4, .*wanted views 3"),
        (CHAIRS, RenderSettings(4, 32), "size 64, .*wanted .*size 32"),
        (CHAIRS, RenderSettings(4, 64, 1), "seed 0, .*wanted .*seed 1"),
        (CHAIRS.model_copy(update={"seed": 7}), QUICK, "train, seed 0, wanted .*train, seed 7"),
    ],
)
def test_other_pictures_are_not_replaced_unless_forced(rendered, config, settings, found):
    before = contents(rendered)
    with pytest.raises(ValueError, match=rf"chair_00000.rendering: found .*{found}.*--force"):
        write_renderings(config, rendered, settings)
    assert contents(rendered) == before


def test_force_replaces(tmp_path):
    write_renderings(CHAIRS, tmp_path, QUICK, splits=["val"])
    folder = tmp_path / folder_of("chair", "chair_val_00000")
    (folder / "rendering_settings.json").unlink()  # as made by others
    with pytest.raises(ValueError, match="that were not rendered here"):
        write_renderings(CHAIRS, tmp_path, QUICK, splits=["val"])
    result = write_renderings(CHAIRS, tmp_path, RenderSettings(2, 64), splits=["val"], force=True)
    assert result.rendered == 1
    assert sorted(path.name for path in folder.glob("*.png")) == ["00.png", "01.png"]
    assert json.loads((folder / "rendering_settings.json").read_text())["views"] == 2


def test_meshes_of_any_folder(tmp_path, write_mesh):
    for name in ("deep/a", "b", "c"):
        write_mesh(tmp_path / "things" / f"{name}.off", height=40)
    config = MeshesConfig(root=tmp_path / "things")
    result = write_renderings(config, tmp_path / "out", QUICK)
    assert result.rendered == 3  # too few to divide, and no matter
    folder = tmp_path / "out" / "things" / "deep__a" / "rendering"
    rows = np.flatnonzero(read_alpha(folder / "00.png").any(axis=1))
    assert 30 < rows[-1] - rows[0] < 64  # in the frame of the camera, whatever its units


def test_shapenet_keeps_its_synsets(tmp_path, write_mesh):
    root = tmp_path / "core"
    write_mesh(root / "03001627" / "abc" / "models" / "model_normalized.obj")
    (found,) = subjects(MeshesConfig(root=root))
    assert found.folder == Path("03001627", "abc", "rendering")


def test_two_shapes_in_one_folder_are_refused(tmp_path, write_mesh):
    for name in ("a/b", "a__b"):
        write_mesh(tmp_path / "things" / f"{name}.off")
    with pytest.raises(ValueError, match="as those of things/a"):
        subjects(MeshesConfig(root=tmp_path / "things"))


def test_points_cannot_be_rendered(tmp_path):
    with pytest.raises(ValueError, match=r"data\.kind: expected meshes .*got pc15k"):
        subjects(Pc15kConfig(root=tmp_path))


@pytest.fixture
def with_bad(tmp_path, write_mesh):
    root = tmp_path / "things"
    for name in ("a", "b", "c", "d"):
        write_mesh(root / f"{name}.off")
    (root / "b.off").write_text("OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n")
    (root / "c.off").write_text("OFF\n0 0 0\n")
    return root


def test_a_bad_mesh_stops_or_is_left_out(with_bad, tmp_path):
    config = MeshesConfig(root=with_bad)
    with pytest.raises(ValueError, match=r"b\.off: .*not finite"):
        write_renderings(config, tmp_path / "out", QUICK)
    skipping = config.model_copy(update={"on_error": "skip"})
    result = write_renderings(skipping, tmp_path / "out", QUICK)
    assert (result.rendered, result.found) == (1, 1)
    assert [Path(line.split(": ")[0]).name for line in result.problems] == ["b.off", "c.off"]
    assert sorted(path.name for path in (tmp_path / "out" / "things").iterdir()) == ["a", "d"]


def test_the_frame_is_that_of_shapenet():
    moved = framed(np.random.default_rng(0).normal(5, [1, 20, 3], (50, 3)))
    low, high = moved.min(axis=0), moved.max(axis=0)
    assert np.allclose(low, -high)
    assert np.isclose(np.linalg.norm(high - low), 1)


@pytest.mark.parametrize(
    "vertices", [np.zeros((0, 3)), np.zeros((4, 3)), np.array([[0.0, np.nan, 1], [1, 1, 1]])]
)
def test_no_frame_without_a_box(vertices):
    with pytest.raises(ValueError, match="expected"):
        framed(vertices)


def test_damaged_cameras_name_file_and_line(tmp_path):
    path = tmp_path / "rendering_metadata.txt"
    path.write_text("1 27 0 0.8 25\n\n1 27 0 x 25\n")
    with pytest.raises(FileError, match=r"rendering_metadata\.txt: line 3: expected 5 numbers"):
        read_cameras(path)
    path.write_text("\n\n")
    with pytest.raises(FileError, match="expected a line for each picture"):
        read_cameras(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="cannot be read as text"):
        read_cameras(path)


@pytest.mark.parametrize("names", [("..", "a"), ("chair", ""), ("chair", "a\\b"), ("a/b", "c")])
def test_names_that_are_no_folders(names):
    with pytest.raises(ValueError, match="names that folders can have"):
        folder_of(*names)


@pytest.mark.parametrize("settings", [{"views": 0}, {"views": 101}, {"size": 0}, {"seed": -1}])
def test_wrong_settings_are_named(settings):
    with pytest.raises(ValueError, match=f"^{next(iter(settings))}: expected"):
        RenderSettings(**settings)
