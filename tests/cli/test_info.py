"""`pointgen info --html`: the report of a run, made at any time."""

import json


def test_the_report_of_a_run(pointgen, run, tmp_path):
    page = tmp_path / "a.html"
    result = pointgen("info", run, "--html", page, "--json", "--device", "cpu")
    assert result.status == 0 and f"wrote {page}" in result.err
    assert json.loads(result.out)["last_log"]["step"] == 4
    assert "Only 2 new shapes against 2 of the val split" in page.read_text()
    refused = pointgen("info", run, "--html", page)
    assert refused.status == 2 and "--force" in refused.err
    assert pointgen("info", run / "model.safetensors", "--html", page, "--force").status == 0


def test_the_parts_of_a_run_are_named(pointgen, run):
    found = json.loads(pointgen("info", run, "--json").out)["parts"]
    assert found == {
        "encoder": "pointnet",
        "posterior": "gaussian",
        "prior": "cnf",
        "points": "cnf",
    }
    assert "prior cnf, points cnf" in pointgen("info", run).out


def test_training_says_where_the_report_is_and_info_what_it_found(pointgen, config, tmp_path):
    out = tmp_path / "run"
    result = pointgen("train", config, "--out", out, "--device", "cpu")
    assert result.err.splitlines()[-2] == f"report: {out / 'report.html'}"
    assert "1-NNA-CD" in pointgen("info", out).out


def test_pictures_stand_beside_their_clouds(pointgen, image_run):
    page = (image_run / "report.html").read_text()
    assert "Held-out pictures, the cloud made of each" in page
    found = json.loads((image_run / "report.json").read_text())
    assert found["problems"] == []
    rows = ["reconstruction", "from the picture", "another shape", "same surface"]
    assert list(found["pairs"]["scores"]) == rows
    assert list(found["pairs"]["scores"]["from the picture"]) == ["mug", "table", "mean"]
    assert "CD (from the picture)" in found["scores"]


def test_a_model_that_draws_pictures_shows_them(drawing_run):
    assert "the picture made of each" in (drawing_run / "report.html").read_text()


def test_a_log_that_is_none_is_one_line(pointgen, run, tmp_path):
    for name in ("config.toml", "model.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "log.csv").write_text("hello\n")
    result = pointgen("info", tmp_path)
    assert result.status == 2 and "log.csv: not the log of a training" in result.err


def test_a_run_without_weights_yet_is_described_all_the_same(pointgen, run, tmp_path):
    for name in ("config.toml", "log.csv"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    found = json.loads(pointgen("info", tmp_path, "--json").out)
    assert found["step"] == "no weights yet" and found["last_log"]["step"] == 4
    assert json.loads(pointgen("info", run, "--json").out)["step"] == 4
    page = pointgen("info", tmp_path, "--html", tmp_path / "a.html", "--device", "cpu")
    assert page.status == 0 and (tmp_path / "a.html").exists()


def test_json_has_null_where_a_number_is_not_finite(pointgen, run, tmp_path):
    for name in ("config.toml", "model.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "report.json").write_text('{"scores": {"CD": Infinity, "EMD": NaN, "JSD": 1}}')
    scores = json.loads(pointgen("info", tmp_path, "--json").out)["report"]
    assert scores == {"CD": None, "EMD": None, "JSD": 1.0}
