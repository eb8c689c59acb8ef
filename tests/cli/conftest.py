"""The command line, called in this process, and one small run that the tests share."""

import sys
from types import SimpleNamespace

import pytest
import torch

from pointgen.cli.app import main

CONFIG = """
[model]
kind = "pointflow"
objective = "matching"
code_dim = 4
prior_draws = 1

[model.encoder]
widths = [8, 16]
head = [8]

[model.points]
batch_norm = false
field = { kind = "residual", width = 16, depth = 1, condition_width = 16 }
sampler = { method = "heun", steps = 3 }

[model.prior]
kind = "cnf"
field = { kind = "residual", width = 16, depth = 1, condition_width = 16 }
sampler = { method = "heun", steps = 3 }

[data]
kind = "procedural"
size = 8
val_size = 2
test_size = 4
num_points = 64

[train]
steps = 4
batch_size = 4
log_every = 2
preview_count = 1
preview_points = 64
report_shapes = 2
"""


IMAGE_CONFIG = """
[model]
kind = "pointflow"
objective = "matching"
code_dim = 4
prior_draws = 1

[model.encoder]
widths = [8, 16]
head = [8]

[model.points]
batch_norm = false
field = { kind = "residual", width = 16, depth = 1, condition_width = 16 }
sampler = { method = "midpoint", steps = 2 }
solver = { rtol = 1e-2, atol = 1e-2 }

[model.prior]
kind = "cnf"
batch_norm = false
field = { kind = "residual", width = 16, depth = 1, condition_width = 16 }
sampler = { method = "midpoint", steps = 2 }
solver = { rtol = 1e-2, atol = 1e-2 }

[model.condition]
categories = ["mug", "table"]
width = 16
image = { kind = "resnet", image_size = 16, widths = [8, 8] }

[data]
kind = "renderings"
images = "IMAGES"
size = 16
num_points = 64

[data.clouds]
kind = "procedural"
categories = ["mug", "table"]
size = 4
val_size = 1
test_size = 2

[train]
steps = 3
batch_size = 4
log_every = 1
preview_count = 1
preview_points = 64
report_shapes = 2
"""


RESTORER_CONFIG = """
[model]
kind = "irim"
points = 64
steps = 2
width = 8
hidden = 8

[data]
kind = "procedural"
size = 8
val_size = 2
test_size = 4
num_points = 64

[train]
steps = 3
batch_size = 4
log_every = 1
preview_every = 2
report_shapes = 2
"""


@pytest.fixture(autouse=True)
def _single_precision(_double_and_seeded):
    """People run the command line in torch's own precision."""
    torch.set_default_dtype(torch.float32)


def call(*arguments):
    """Run the command line; return its exit status."""
    before = sys.argv
    sys.argv = ["pointgen", *map(str, arguments)]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0


@pytest.fixture
def pointgen(capfd):
    """Call the command line and get (status, out, err)."""

    def run(*arguments):
        capfd.readouterr()
        status = call(*arguments)
        out, err = capfd.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return run


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def run(config, tmp_path_factory):
    """A trained run: nonsense, but of every kind of file."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("runs") / "small"
    assert call("train", config, "--out", out, "--device", "cpu") == 0
    torch.set_default_dtype(before)
    return out


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    """A run that turns pictures into clouds; its pictures lie beside it, in `pairs`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    root = tmp_path_factory.mktemp("pictures")
    config = root / "config.toml"
    config.write_text(IMAGE_CONFIG.replace("IMAGES", str(root / "pairs")))
    assert call("data", "render", config, "--views", 2, "--size", 24) == 0
    assert call("train", config, "--out", root / "run", "--device", "cpu") == 0
    torch.set_default_dtype(before)
    return root / "run"


@pytest.fixture(scope="session")
def drawing_run(image_run, tmp_path_factory):
    """A C-Flow from clouds to pictures."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("drawing") / "run"
    small = 'kind="cflow", direction="cloud_to_image", image_size=16, points=64, levels=2, steps=1'
    settings = ("--set", f"model={{{small}, width=8}}", "--out", out, "--device", "cpu")
    assert call("train", image_run.parent / "config.toml", *settings) == 0
    torch.set_default_dtype(before)
    return out


@pytest.fixture(scope="session")
def restorer(tmp_path_factory):
    """An i-RIM; its config lies beside it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("restorer")
    (folder / "small.toml").write_text(RESTORER_CONFIG)
    assert call("train", folder / "small.toml", "--out", folder / "run", "--device", "cpu") == 0
    torch.set_default_dtype(before)
    return folder / "run"
