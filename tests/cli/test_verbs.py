"""Each verb, from the command line to the files it writes."""

import json
import shutil

import numpy as np
import pytest
import trimesh

from pointgen.files import read_clouds


def test_train_leaves_a_run_folder(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "model.safetensors", "log.csv", "state", "tensorboard"} <= names


def test_train_refuses_a_folder_that_is_taken_and_resume_goes_on(pointgen, config, run, tmp_path):
    again = pointgen("train", config, "--out", run)
    assert again.status == 2 and "--resume" in again.err
    out = tmp_path / "run"
    pointgen("train", config, "--out", out, "--set", "train.steps=2")
    longer = pointgen("train", config, "--out", out, "--resume")
    assert longer.status == 0 and "step 4 of 4" in longer.err


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_generate_one_file(pointgen, run, tmp_path, ending):
    out = tmp_path / f"clouds.{ending}"
    assert pointgen("generate", run, "-o", out, "-n", 3, "--points", 50).status == 0
    clouds = read_clouds(out)
    assert [cloud.points.shape for cloud in clouds] == [(50, 3)] * 3


@pytest.mark.parametrize("name", ["cloud.ply", "cloud.xyz", "cloud.pcd", "folder"])
def test_generate_a_file_each(pointgen, run, tmp_path, name):
    assert (
        pointgen("generate", run, "-o", tmp_path / "o" / name, "-n", 3, "--points", 50).status == 0
    )
    assert len(read_clouds(tmp_path / "o")) == 3


def test_generate_is_decided_by_the_seed(pointgen, run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pointgen("generate", run, "-o", tmp_path / f"{name}.npy", "-n", 20, "--points", 30,
                 "--seed", seed)  # fmt: skip
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert np.array_equal(a, b) and not np.allclose(a, c)


def test_generate_takes_steps_and_temperature(pointgen, run, tmp_path):
    names = {"plain": (), "fine": ("--steps", 20), "cold": ("--temperature", 0)}
    for name, options in names.items():
        pointgen("generate", run, "-o", tmp_path / f"{name}.npy", "-n", 2, "--points", 30, *options)
    plain, fine, cold = (np.load(tmp_path / f"{name}.npy") for name in names)
    assert not np.array_equal(plain, fine) and not np.array_equal(plain, cold)


def test_generate_overwrites_only_by_force(pointgen, run, tmp_path):
    out = tmp_path / "a.npy"
    out.write_bytes(b"mine")
    refused = pointgen("generate", run, "-o", out, "-n", 1)
    assert refused.status == 2 and "--force" in refused.err and out.read_bytes() == b"mine"
    assert pointgen("generate", run, "-o", out, "-n", 1, "--force").status == 0
    assert np.load(out).shape == (1, 2048, 3)


def test_generate_reports_as_json(pointgen, run, tmp_path):
    result = json.loads(pointgen("generate", run, "-o", tmp_path / "a.npy", "-n", 2, "--json").out)
    assert result["clouds"] == 2 and result["failed"] == 0
    assert result["files"] == [str(tmp_path / "a.npy")]


def test_reconstruct_clouds_and_meshes_keeps_their_names(pointgen, run, tmp_path):
    trimesh.creation.box((0.5, 0.5, 0.5)).export(tmp_path / "box.obj")
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).random((40, 3)))
    out = tmp_path / "out"
    result = pointgen("reconstruct", run, tmp_path / "box.obj", tmp_path / "cloud.npy", "-o", out,
                      "--json")  # fmt: skip
    assert result.status == 0
    clouds = {cloud.id: cloud.points for cloud in read_clouds(out)}
    assert {name: len(points) for name, points in clouds.items()} == {"box": 2048, "cloud": 40}
    assert set(json.loads(result.out)["chamfer"]) == {"box", "cloud"}


def test_reconstruct_undoes_the_frame_of_each_shape(pointgen, config, tmp_path):
    run = tmp_path / "run"
    pointgen("train", config, "--out", run, "--set", "data.normalize=shape_bbox")
    far = 1000 + np.random.default_rng(0).random((64, 3)) * 50
    np.save(tmp_path / "far.npy", far)
    pointgen("reconstruct", run, tmp_path / "far.npy", "-o", tmp_path / "o.npy", "--points", 500)
    cloud = np.load(tmp_path / "o.npy")[0]
    assert np.abs(cloud.mean(0) - far.mean(0)).max() < 100


def test_a_model_of_fewer_points_than_usual_makes_as_many_as_it_can(pointgen, image_run, tmp_path):
    config, run = image_run.parent / "config.toml", tmp_path / "run"
    small = 'kind="cflow", image_size=16, points=64, levels=2, steps=1, width=8'
    options = ("--set", f"model={{{small}}}", "--set", "train.report=false")
    assert pointgen("train", config, "--out", run, *options).status == 0
    assert pointgen("generate", run, "-o", tmp_path / "a.npy", "-n", 2).status == 0
    assert np.load(tmp_path / "a.npy").shape == (2, 64, 3)
    assert pointgen("view", run, "--png", tmp_path / "a.png").status == 0


def test_interpolate(pointgen, run, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.random((40, 3)))
    out = tmp_path / "way.npy"
    ends = (tmp_path / "a.npy", tmp_path / "b.npy")
    assert pointgen("interpolate", run, *ends, "-o", out, "-n", 5, "--points", 30).status == 0
    assert np.load(out).shape == (5, 30, 3)


def test_evaluate_a_run_against_its_own_held_out_shapes(pointgen, run, tmp_path):
    out = tmp_path / "sheet.json"
    result = pointgen("evaluate", run, run, "--points", 64, "-o", out, "--json")
    assert result.status == 0
    sheet = json.loads(result.out)
    assert sheet == json.loads(out.read_text())
    assert set(sheet["scores"]) == {"1-NNA-CD", "COV-CD", "MMD-CD", "MMD-smp-CD", "JSD"}
    assert set(sheet["oracle"]["scores"]) == set(sheet["scores"])
    assert sheet["split"] == "test" and sheet["shapes"] == sheet["references"] == 4


def test_evaluate_runs_of_other_frames_only_in_units_of_each_cloud(pointgen, run, tmp_path):
    """What `normalize` does to whole data sets models undo; frames of single shapes they keep."""
    other = {}
    for normalize in ("shape_bbox", "none"):
        other[normalize] = tmp_path / normalize
        shutil.copytree(run, other[normalize])
        config = other[normalize] / "config.toml"
        text = config.read_text().replace('normalize = "global"', f'normalize = "{normalize}"')
        config.write_text(text)
    common = ("--points", 32, "--json", "--device", "cpu")
    refused = pointgen("evaluate", other["shape_bbox"], run, *common)
    assert refused.status == 2 and refused.err.count("\n") == 1
    assert "got data.normalize = shape_bbox and global" in refused.err
    assert pointgen("evaluate", other["none"], run, *common).status == 0
    for options in (("--units", "box"), ("--protocol", "lion-box"), ("--protocol", "dpm")):
        assert pointgen("evaluate", other["shape_bbox"], run, *common, *options).status == 0
    assert pointgen("evaluate", other["shape_bbox"], run, *common, "--protocol", "lion").status == 2


def test_evaluate_files_and_folders(pointgen, run, tmp_path):
    pointgen("generate", run, "-o", tmp_path / "folder", "-n", 3, "--points", 40)
    np.save(tmp_path / "real.npy", np.random.default_rng(0).random((5, 60, 3)))
    result = pointgen("evaluate", tmp_path / "folder", tmp_path / "real.npy")
    assert result.status == 0 and "1-NNA-CD" in result.out and "thinned to 40" in result.out
    assert "one random half of the references" in result.out
    alone = pointgen("evaluate", tmp_path / "folder", tmp_path / "real.npy", "--oracle", "none")
    assert alone.status == 0 and "real data" not in alone.out


def test_evaluate_with_exact_matching_and_a_page(pointgen, tmp_path):
    for seed, name in enumerate(("made", "real", "more")):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(seed).random((6, 40, 3)))
    files = [tmp_path / "made.npy", tmp_path / "real.npy", "--oracle", tmp_path / "more.npy"]
    page = tmp_path / "sheet.html"
    result = pointgen("evaluate", *files, "--emd", "exact", "--emd", "1%", "--html", page, "--json")
    assert result.status == 0, result.err
    sheet = json.loads(result.out)
    assert sheet["scores"]["MMD-EMD"] <= sheet["scores"]["MMD-EMD-1%"]
    assert sheet["scores"]["MMD-EMD-1%"] <= 1.01 * sheet["scores"]["MMD-EMD"]
    assert sheet["effort"]["EMD"]["solved"] <= sheet["effort"]["EMD"]["pairs"] == 66
    text = page.read_text()
    assert text.count("data:image/") == 3 * 4 and "Worst" in text and "1-NNA-EMD" in text
    assert pointgen("evaluate", *files, "--html", page).status == 2


@pytest.mark.parametrize("protocol", ["pointflow", "lion", "lion-box", "dpm"])
def test_evaluate_by_a_published_protocol(pointgen, run, tmp_path, protocol):
    options = ["--protocol", protocol, "--points", 32, "--json"]
    sheet = json.loads(pointgen("evaluate", run, run, *options).out)
    assert sheet["protocol"].startswith(f"{protocol} (with 32 points instead of 2048) - ")
    assert sheet["split"] == ("test" if protocol == "dpm" else "val")
    assert sheet["units"] == {"lion-box": "half_box", "dpm": "box"}.get(protocol, "data")
    emd = {"pointflow": "EMD-pointflow", "dpm": None}.get(protocol, "EMD-pvd")
    assert list(sheet["methods"]) == ["CD", *([emd] if emd else [])]
    refused = pointgen("evaluate", run, run, *options, "--split", "train")
    assert refused.status == 2 and "--protocol" in refused.err


def test_evaluate_reconstructions_by_name(pointgen, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in "xyz":
        points = rng.random((50, 3))
        np.save(tmp_path / "a" / f"{name}.npy", points)
        np.save(tmp_path / "b" / f"{name}.npy", points[::-1] + 0.001)
    out = tmp_path / "pairs.json"
    folders = (tmp_path / "a", tmp_path / "b")
    result = pointgen("evaluate", *folders, "--pairs", "--threshold", "1%", "-o", out)
    assert (
        result.status == 0 and "F-score" in result.out and "1 % of the longest side" in result.out
    )
    scores = json.loads(out.read_text())
    assert scores["means"]["F-score"] == 1 and scores["paired_by"] == "name"
    assert [each["id"] for each in scores["each"]] == ["x", "y", "z"]
    assert scores["means"]["EMD"] == pytest.approx(0.001 * 3**0.5, rel=1e-3)
    (tmp_path / "b" / "z.npy").unlink()
    missing = pointgen("evaluate", *folders, "--pairs")
    assert missing.status == 2 and "none named z" in missing.err
    np.save(tmp_path / "b" / "w.npy", rng.random((50, 3)))
    mixed = pointgen("evaluate", *folders, "--pairs")  # by place, x would meet w
    assert mixed.status == 2 and "none named z" in mixed.err
    assert pointgen("evaluate", *folders, "--pairs", "--threshold", "wide").status == 2


def test_evaluate_meshes_by_pairs_compares_normals(pointgen, tmp_path):
    assert pointgen("data", "make", "chair", "-o", tmp_path / "chairs", "--size", 1).status == 0
    mesh = next((tmp_path / "chairs").rglob("*.ply")).parent
    result = pointgen("evaluate", mesh, mesh, "--pairs", "--points", 100, "--json")
    means = json.loads(result.out)["means"]
    assert 0.5 < means["normals"] < 1 and means["CD"] > 0  # two draws of one surface, not one


def test_info_says_what_a_run_is(pointgen, run):
    text = pointgen("info", run).out
    assert "pointflow" in text and "matching" in text and "procedural" in text
    facts = json.loads(pointgen("info", run, "--json").out)
    assert facts["last_log"]["step"] == 4 and facts["config"]["train"]["steps"] == 4
    assert facts["parameters"]["encoder"] > 0


def test_data_make_can_be_read_back(pointgen, tmp_path):
    out = tmp_path / "made"
    sizes = ("--size", 3, "--val-size", 1, "--test-size", 1)
    assert pointgen("data", "make", "chair", "mug", "-o", out, *sizes).status == 0
    assert (out / "attributes.csv").is_file()
    from pointgen.datasets import MeshesConfig, Pc15kConfig

    assert len(MeshesConfig(root=out, num_points=64).build("train")) == 6
    points = Pc15kConfig(root=out / "points", categories=("mug",), num_points=64)
    assert len(points.build("test")) == 1


def test_demo_makes_what_it_promises(pointgen, tmp_path):
    out = tmp_path / "demo"
    small = [f"--set={key}" for key in (
        "train.steps=2", "train.batch_size=2", "data.size=4", "data.test_size=3",
        "data.points_per_shape=3072", "model.points.sampler.steps=1", "model.prior.sampler.steps=1",
    )]  # fmt: skip
    result = pointgen("demo", "--out", out, *small)
    assert result.status == 0
    assert "1-NNA-CD" in result.out and "real data" in result.out and "Next:" in result.err
    names = {path.name for path in out.iterdir()}
    assert {"gallery.png", "gallery.html", "report.html", "scores.json"} <= names
    assert "model.safetensors" in names
    assert np.load(out / "samples" / "generated.npy").shape == (16, 2048, 3)
