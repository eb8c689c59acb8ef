"""Every file in configs/ is read strictly, and builds."""

from pathlib import Path

import pytest

from pointgen.config import read_config
from pointgen.models import InterpretationConfig, PointFlowConfig

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
INTERPRETED = {"edit_quickstart": "quickstart", "edit_shapenet": "matching_airplane"}
# Of the official model. Source: its published weights.
PARAMETERS = {"pointflow_airplane": 1_608_346, "pointflow_airplane_ae": 1_292_697}


def test_the_promised_configs_are_there():
    assert {path.stem for path in CONFIGS} >= {
        "quickstart", "pointflow_airplane", "pointflow_chair", "pointflow_car",
        "pointflow_airplane_ae", "matching_airplane", "matching_meshes",
        "image_quickstart", "image_chair", "cflow_quickstart", "cflow_chair",
        "hybrid_quickstart", "hybrid_modelnet", "edit_quickstart", "edit_shapenet",
        "irim_quickstart", "irim_shapenet",
    }  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_reads_and_builds(path):
    experiment = read_config(path)
    config = experiment.model
    if isinstance(config, InterpretationConfig):  # of what the config says to train before
        known = read_config(path.parent / f"{INTERPRETED[path.stem]}.toml").model
        assert isinstance(known, PointFlowConfig)
        tree = config.model_dump() | {"flow": known.model_dump()}
        config = InterpretationConfig.model_validate(tree)
    model = config.build()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == PARAMETERS.get(path.stem, count)
    if experiment.data.kind == "procedural":
        assert len(experiment.data.build("test")) > 0
