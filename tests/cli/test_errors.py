"""A person's mistake is one line on stderr and exit status 2; `--debug` shows where it arose."""

import subprocess
import sys

import numpy as np
import pytest

MISTAKES = {
    "no such run": (["generate", "{tmp}/nothing", "-o", "{tmp}/a.npy"], "config.toml"),
    "no such option": (["generate", "--colour", "red"], "--colour"),
    "no such verb": (["generat"], "generat"),
    "missing argument": (["generate"], "Missing argument"),
    "unknown ending": (["generate", "{run}", "-o", "{tmp}/a.doc", "-n", "1"], ".doc"),
    "unknown key": (["train", "{config}", "--set", "model.code_dims=3"], "code_dim"),
    "wrong type": (["train", "{config}", "--set", "model.code_dim=large"], "model.code_dim"),
    "no such config": (["train", "{tmp}/no.toml"], "no.toml"),
    "missing data": (
        ["train", "{config}", "--set", 'data={kind="pc15k", root="{tmp}", categories=["mug"]}'],
        "{tmp}",
    ),
    "no such input": (["evaluate", "{tmp}/a.npy", "{run}"], "a.npy"),
    "flat data": (["evaluate", "{flat}", "{run}"], "flat.npy"),
    "not a number": (["evaluate", "{nan}", "{run}"], "nan.npy"),
    "no such device": (["generate", "{run}", "-o", "{tmp}/a.npy", "--device", "cuda"], "CUDA"),
    "no place for the result": (
        ["evaluate", "{sound}", "{sound}", "-o", "{sound}/sheet.json"],
        "sheet.json",
    ),
    "another ending": (["info", "{run}", "--html", "{tmp}/a.txt"], "a.txt: expected a name that"),
    "not of sets": (["evaluate", "{sound}", "{sound}", "--code", "mean"], "--code: is of a run"),
    "not of sets either": (
        ["evaluate", "{sound}", "{sound}", "--threshold", "2%"],
        "--threshold: expected --pairs",
    ),
    "no split": (
        ["evaluate", "{sound}", "{sound}", "--split", "val"],
        "--split: {sound} is no",
    ),
    "no categories": (
        ["evaluate", "{sound}", "{sound}", "--category", "mug"],
        "--category: expected a run that was told categories, or a run as REFERENCE",
    ),
    "nothing to be guided by": (
        ["evaluate", "{run}", "{run}", "--guidance", "2"],
        "--guidance: is of a run that turns pictures into clouds",
    ),
    "not of pairs": (
        ["evaluate", "{sound}", "{sound}", "--pairs", "--likelihood", "--units", "box"],
        "--units, --likelihood: does not go with --pairs",
    ),
    "one file has no best": (
        ["generate", "{run}/model.safetensors", "-o", "{tmp}/a.npy", "--weights", "best"],
        "expected the run's folder",
    ),
    "colours of another choice": (
        ["view", "{sound}", "--png", "{tmp}/a.png", "--to", "{sound}"],
        "--to: expected --color distance",
    ),
    "no layers": (["train", "{config}", "--set", "model.encoder.widths=[]"], "encoder.widths"),
    "unknown category": (["data", "make", "dragon", "-o", "{tmp}/d"], "dragon"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_clear_line(pointgen, run, config, tmp_path, name):
    np.save(tmp_path / "flat.npy", np.zeros((4, 10, 2)))
    np.save(tmp_path / "nan.npy", np.full((4, 10, 3), np.nan))
    np.save(tmp_path / "sound.npy", np.random.default_rng(0).normal(size=(4, 10, 3)))
    places = {
        "{run}": run,
        "{sound}": tmp_path / "sound.npy",
        "{config}": config,
        "{flat}": tmp_path / "flat.npy",
        "{nan}": tmp_path / "nan.npy",
        "{tmp}": tmp_path,
    }

    def filled(text):
        for key, value in places.items():
            text = text.replace(key, str(value))
        return text

    arguments, expected = MISTAKES[name]
    result = pointgen(*map(filled, arguments))
    assert result.status == 2
    assert filled(expected) in result.err
    assert "Traceback" not in result.err
    if result.err.startswith("error"):
        assert len(result.err.strip().splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-c", "from pointgen.cli.app import main; main()"]
    result = subprocess.run(
        [*command, "info", str(tmp_path), "--debug"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1 and "Traceback" in result.stderr


def test_help_does_not_wait_for_torch():
    script = (
        "import sys\n"
        "from pointgen.cli.app import app\n"
        "import pointgen\n"
        "app(['generate', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'open3d', 'trimesh', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
