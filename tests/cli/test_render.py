import json

import pytest

from pointgen.geometry.cameras import ViewCamera

SMALL = """
[model]
kind = "pointflow"

[model.prior]
kind = "cnf"

[data]
kind = "procedural"
size = 2
val_size = 1
test_size = 1

[train]
steps = 1
"""
QUICK = ("--views", 2, "--size", 32)


@pytest.fixture
def shapes(tmp_path):
    path = tmp_path / "shapes.toml"
    path.write_text(SMALL)
    return path


def test_a_config_is_rendered_and_then_gone_on_with(pointgen, shapes, tmp_path):
    out = tmp_path / "pictures"
    first = pointgen("data", "render", shapes, "-o", out, *QUICK, "--split", "val")
    assert (first.status, first.out) == (0, "")
    assert f"{out}: 2 pictures of each of 1 shapes" in first.err
    assert f'next: [data] kind = "renderings", images = "{out}"' in first.err
    second = pointgen("data", "render", shapes, "-o", out, *QUICK, "--json")
    result = json.loads(second.out)
    assert (result["rendered"], result["found"], result["views"]) == (3, 1, 2)
    lines = (out / "chair" / "chair_00001" / "rendering" / "rendering_metadata.txt").read_text()
    assert [ViewCamera.parse(line).roll for line in lines.splitlines()] == [0, 0]


def test_a_folder_of_written_shapes_has_the_names_of_the_config(pointgen, shapes, tmp_path):
    sizes = ("--size", 2, "--val-size", 1, "--test-size", 1)
    assert pointgen("data", "make", "chair", "-o", tmp_path / "made", *sizes).status == 0
    for source, out in ((shapes, "one"), (tmp_path / "made", "two")):
        assert pointgen("data", "render", source, "-o", tmp_path / out, *QUICK).status == 0
    names = [sorted(p.name for p in (tmp_path / o / "chair").iterdir()) for o in ("one", "two")]
    assert names[0] == names[1]
    assert len(names[0]) == 4


def test_pictures_go_where_the_config_reads_them(pointgen, shapes, tmp_path):
    images = tmp_path / "pictures"
    data = f'[data]\nkind = "renderings"\nimages = "{images}"\n[data.clouds]'
    shapes.write_text(SMALL.replace("[data]", data))
    result = pointgen("data", "render", shapes, *QUICK)
    assert result.status == 0, result.err
    assert f"next: pointgen train {shapes}" in result.err
    assert (images / "chair" / "chair_test_00000" / "rendering" / "01.png").is_file()


def test_mistakes_are_one_line(pointgen, shapes, tmp_path):
    missing = pointgen("data", "render", shapes)
    assert missing.status == 2
    assert missing.err.startswith("error: --out: expected a folder")
    out = tmp_path / "pictures"
    pointgen("data", "render", shapes, "-o", out, *QUICK)
    other = pointgen("data", "render", shapes, "-o", out, "--views", 3, "--size", 32)
    assert other.status == 2
    assert "wanted views 3" in other.err
    assert len(other.err.splitlines()) == 1
    forced = pointgen("data", "render", shapes, "-o", out, "--views", 3, "--size", 32, "--force")
    assert forced.status == 0
