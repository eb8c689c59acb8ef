"""`pointgen evaluate RUN` and `generate --category` of a run that takes pictures."""

import json

import numpy as np
import pytest
import torch

from pointgen import load
from pointgen.metrics import evaluate
from pointgen.training.checkpoint import read_run


def test_the_table_has_the_run_and_what_it_must_beat(pointgen, image_run, tmp_path):
    out = tmp_path / "scores.json"
    result = pointgen("evaluate", image_run, "--points", 48, "-o", out)
    assert result.status == 0, result.err
    scores = json.loads(out.read_text())["scores"]
    assert list(scores) == [
        "model", "retrieval (pixels)", "retrieval (features)", "mean cloud", "same surface"
    ]  # fmt: skip
    for name, of in scores.items():
        assert list(of) == ["mug", "table", "mean"] and name in result.out
        for key in ("CD", "CD-L1", "EMD", "F-score"):
            assert of["mean"][key] == pytest.approx((of["mug"][key] + of["table"][key]) / 2)
    assert scores["same surface"]["mean"]["CD"] < scores["retrieval (pixels)"]["mean"]["CD"]
    assert scores["retrieval (pixels)"]["mean"]["CD"] < scores["mean cloud"]["mean"]["CD"]


def test_the_same_seed_gives_the_same_table(pointgen, image_run):
    arguments = ("evaluate", image_run, "--points", 48, "--emd", "none", "--json")
    first, second = (json.loads(pointgen(*arguments).out) for _ in range(2))
    assert first == second and "EMD" not in first["scores"]["model"]["mean"]


def test_a_run_with_a_published_encoder_needs_nothing_else(pointgen, image_run, tmp_path):
    transformers = pytest.importorskip("transformers")
    size = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]}
    published = transformers.ResNetModel(transformers.ResNetConfig(**size, layer_type="basic"))
    published.save_pretrained(tmp_path / "net")
    config, run = image_run.parent / "config.toml", tmp_path / "run"
    encoder = f'{{kind="transformers", name="{tmp_path / "net"}", image_size=32}}'
    options = ("--set", f"model.condition.image={encoder}", "--set", "data.size=32")
    assert pointgen("train", config, "--out", run, *options).status == 0
    weights = load(run).conditioner.encoder.network.state_dict()
    assert all(torch.equal(weights[name], own) for name, own in published.state_dict().items())
    (tmp_path / "net").rename(tmp_path / "gone")
    result = pointgen("generate", run, "-o", tmp_path / "a.npy", "-n", 2, "--points", 8)
    assert result.status == 0, result.err
    again = pointgen("train", config, "--out", tmp_path / "b", *options)
    assert again.status == 2 and "net: cannot be loaded" in again.err


def test_a_run_without_pictures_is_scored_by_its_reconstructions(pointgen, run):
    result = pointgen("evaluate", run, "--points", 96, "--json")  # more than it is shown
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert found["shapes"] == 4 and found["points"] == 96 and found["failed"] == 0
    rows = {name: of["mean"] for name, of in found["scores"].items()}
    assert list(rows) == ["reconstruction", "another shape", "same surface"]
    for score in ("CD", "CD-L1", "EMD"):
        assert 0 < rows["same surface"][score] < rows["another shape"][score]
    seen = pointgen("evaluate", run, "--split", "val", "--emd", "none")
    assert "2 shapes of the val split, 64 points" in seen.out and "EMD" not in seen.out


def test_a_restorer_is_scored_by_what_it_restores(pointgen, restorer):
    result = pointgen("evaluate", restorer, "--json")
    assert result.status == 0, result.err
    rows = json.loads(result.out)["scores"]
    assert {"complete", "to complete", "denoise", "upsample", "same surface"} <= rows.keys()
    assert "EMD" not in rows["complete"]["mean"]  # a cloud without a side has fewer points


def test_what_makes_nothing_of_shapes_needs_a_reference(pointgen, drawing_run, tmp_path):
    result = pointgen("evaluate", drawing_run)
    assert result.status == 2 and "scored against a REFERENCE" in result.err
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 3)))
    result = pointgen("evaluate", tmp_path / "a.npy")
    assert result.status == 2 and "expected a run where there is no REFERENCE" in result.err


def test_options_of_sets_need_a_reference(pointgen, image_run):
    result = pointgen("evaluate", image_run, "--pairs")
    assert result.status == 2 and "--pairs: expected a REFERENCE too" in result.err


def test_generate_by_category(pointgen, image_run, run, tmp_path):
    clouds = {}
    for category in ("mug", "table"):
        out = tmp_path / f"{category}.npy"
        arguments = ("-o", out, "-n", 3, "--points", 20, "--category", category, "--guidance", 2)
        assert pointgen("generate", image_run, *arguments).status == 0
        clouds[category] = np.load(out)
    assert not np.array_equal(clouds["mug"], clouds["table"])
    wrong = pointgen("generate", image_run, "-o", tmp_path / "a.npy", "--category", "sofa")
    assert wrong.status == 2 and "expected one of mug, table" in wrong.err
    wrong = pointgen("generate", run, "-o", tmp_path / "a.npy", "--category", "mug")
    assert wrong.status == 2 and "a model that was told categories" in wrong.err
    wrong = pointgen("generate", image_run, "-o", tmp_path / "a.npy", "--guidance", 2)
    assert wrong.status == 2 and "expected --category" in wrong.err


def test_info_says_what_it_takes(pointgen, image_run):
    facts = json.loads(pointgen("info", image_run, "--json").out)
    assert facts["image_size"] == 16 and facts["categories"] == ["mug", "table"]


def test_a_c_flow_is_scored_with_its_likelihoods(pointgen, image_run, tmp_path):
    small = 'kind="cflow", image_size=16, points=64, levels=2, steps=1, width=8'
    settings = ("--set", f"model={{{small}}}", "--out", tmp_path / "run", "--device", "cpu")
    assert pointgen("train", image_run.parent / "config.toml", *settings).status == 0
    result = pointgen("evaluate", tmp_path / "run", "--likelihood", "--json")
    assert result.status == 0, result.err
    answer = json.loads(result.out)
    assert answer["code"] == "sample" and 0 <= answer["right_picture_likelier"] <= 1
    assert "retrieval (features)" not in answer["scores"]


def test_evaluate_one_category(pointgen, image_run, run, tmp_path, monkeypatch):
    """Its shapes are the references, and samples are those that `generate --category` makes."""
    scored, plain = [], evaluate.evaluate

    def score(samples, reference, **options):
        scored.append(samples.cpu().numpy())
        return plain(samples, reference, **options)

    monkeypatch.setattr(evaluate, "evaluate", score)
    held_out = read_run(image_run).data.model_copy(update={"num_points": 48}).build("test")
    for label, category in enumerate(("mug", "table")):
        of_it = [place for place, its in enumerate(held_out.labels) if its == label]
        real, made = tmp_path / f"real-{category}.npy", tmp_path / f"made-{category}.npy"
        np.save(real, held_out.points_of(of_it).numpy())
        options = ("--category", category, "--points", 48)
        common = (*options, "--oracle", "none", "--json", "--device", "cpu")
        found = pointgen("evaluate", real, image_run, *common)
        assert found.status == 0, found.err
        sheet = json.loads(found.out)
        assert sheet["category"] == category and sheet["references"] == len(of_it)
        assert sheet["scores"]["MMD-CD"] == pytest.approx(0, abs=1e-12)
        guided = ("--guidance", 1e5)  # three steps of training tell categories hardly apart
        arguments = ("-n", len(of_it), "-o", made, *options, *guided)
        assert pointgen("generate", image_run, *arguments).status == 0
        assert pointgen("evaluate", image_run, image_run, *common, *guided).status == 0
        np.testing.assert_array_equal(scored[-1], np.load(made))
    assert not np.array_equal(scored[-1], scored[-3])
    for told, message in (
        ((image_run, image_run, "--category", "sofa"), "expected one of mug, table"),
        ((real, image_run, "--category", "sofa"), "expected one of mug, table, those of"),
        ((run, real, "--category", "mug"), "expected a run that was told categories"),
        ((real, run, "--category", "chair"), "has no other"),
    ):
        refused = pointgen("evaluate", *told)
        assert refused.status == 2 and message in refused.err, refused.err
