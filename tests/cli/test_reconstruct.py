"""Pictures into clouds by `pointgen reconstruct`."""

import json

import numpy as np
import pytest
from PIL import Image

from pointgen.files import read_clouds


@pytest.fixture
def photos(tmp_path, image_run):
    """Pictures as people have them: a rendering, a product photo, a snapshot without background."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    pairs = image_run.parent / "pairs"
    rendering = next(pairs.glob("mug/mug_test_00000/rendering/00.png"))
    (folder / "mug.png").write_bytes(rendering.read_bytes())
    product = np.full((90, 120, 3), 250, dtype=np.uint8)
    product[20:70, 30:90] = (120, 40, 30)
    Image.fromarray(product).save(folder / "product.jpg", quality=95)
    noise = np.random.default_rng(0).integers(0, 255, (60, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "deep" / "snapshot.webp")
    return folder


def test_a_folder_in_gives_a_folder_out(pointgen, image_run, photos, tmp_path):
    result = pointgen("reconstruct", image_run, photos, "-o", tmp_path / "out", "--points", 50)
    assert result.status == 0
    clouds = {cloud.id: cloud.points.shape for cloud in read_clouds(tmp_path / "out")}
    assert set(clouds.values()) == {(50, 3)}
    assert {name.split("/")[-1].split("_")[-1] for name in clouds} == {"mug", "product", "snapshot"}
    assert "snapshot.webp: no background was found" in result.err and "(and" not in result.err


def test_several_clouds_of_one_picture_differ(pointgen, image_run, photos, tmp_path):
    out = tmp_path / "out.npz"
    assert pointgen("reconstruct", image_run, photos / "mug.png", "-o", out, "-n", 3).status == 0
    one, two, _ = read_clouds(out)
    assert [one.id, two.id] == ["mug_0", "mug_1"] and one.points.shape == (2048, 3)
    assert not np.allclose(one.points, two.points)


def test_a_seed_gives_the_same_cloud_whatever_stands_beside(pointgen, image_run, photos, tmp_path):
    def cloud(*inputs, seed=0):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        arguments = ("-o", out, "--points", 32, "--seed", seed)
        assert pointgen("reconstruct", image_run, *inputs, *arguments).status == 0
        return {each.id: each.points for each in read_clouds(out)}["mug"]

    mug, product = photos / "mug.png", photos / "product.jpg"
    assert np.array_equal(cloud(mug), cloud(product, mug))
    assert not np.allclose(cloud(mug), cloud(mug, seed=1))


def test_bad_pictures_are_told_and_the_rest_goes_on(pointgen, image_run, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"\x89PNG nonsense")
    (photos / "empty.jpg").touch()
    out = tmp_path / "out.npz"
    result = pointgen("reconstruct", image_run, photos, "-o", out, "--points", 20)
    assert result.status == 1
    assert len(read_clouds(out)) == 3
    assert len([line for line in result.err.splitlines() if line.startswith("error:")]) == 2
    assert "broken.png" in result.err and "empty.jpg" in result.err


def test_only_bad_pictures_are_a_mistake(pointgen, image_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nonsense")
    result = pointgen("reconstruct", image_run, tmp_path / "broken.png", "-o", tmp_path / "a.npy")
    assert result.status == 2 and "none of 1 pictures could be used" in result.err
    assert not (tmp_path / "a.npy").exists()


def test_json_has_the_likelihoods(pointgen, image_run, photos, tmp_path):
    result = pointgen(
        "reconstruct", image_run, photos / "mug.png", "-o", tmp_path / "a.npy",
        "-n", 2, "--points", 16, "--score", "--json",
    )  # fmt: skip
    answer = json.loads(result.out)
    assert set(answer["log_likelihood"]) == {"mug_0", "mug_1"}
    for name, nats in answer["log_likelihood"].items():
        assert answer["log_likelihood_per_point"][name] == pytest.approx(nats / 16)
    assert (answer["pictures"], answer["unusable"], answer["failed"]) == (1, 0, 0)


def test_the_picture_shows_inputs_and_results(pointgen, image_run, photos, tmp_path):
    png = tmp_path / "seen.png"
    arguments = ("-o", tmp_path / "a.npy", "-n", 2, "--points", 64, "--png", png)
    assert pointgen("reconstruct", image_run, photos / "product.jpg", *arguments).status == 0
    picture = np.asarray(Image.open(png).convert("RGB"))
    cell = picture.shape[1] // 5  # the picture, and two clouds from two sides each
    reddish = picture[-cell // 2, cell // 2].astype(int)
    assert reddish[0] > reddish[1] + 40
    for column in range(1, 5):
        drawn = picture[-cell:, column * cell : (column + 1) * cell]
        assert (drawn.max(-1) - drawn.min(-1) > 30).mean() > 0.01


def test_a_mask_says_where_the_object_is(pointgen, image_run, photos, tmp_path):
    snapshot = photos / "deep" / "snapshot.webp"
    mask = np.zeros((60, 40), dtype=np.uint8)
    mask[20:40, 10:30] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "snapshot.png")
    for number, given in enumerate((tmp_path / "masks" / "snapshot.png", tmp_path / "masks")):
        result = pointgen(
            "reconstruct", image_run, snapshot, "-o", tmp_path / f"{number}.npy", "--mask", given,
            "--points", 16,
        )  # fmt: skip
        assert result.status == 0 and "no background" not in result.err
    assert np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))


def test_code_guidance_and_category_are_obeyed(pointgen, image_run, photos, tmp_path):
    def cloud(*options):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        arguments = ("-o", out, "--points", 16, *options)
        assert pointgen("reconstruct", image_run, photos / "mug.png", *arguments).status == 0
        return np.load(out)

    plain = cloud()
    for options in (
        ("--code", "mean"),
        ("--code", "mode"),
        ("--guidance", 3),
        ("--category", "mug"),
        ("--temperature", 0),
    ):
        assert not np.array_equal(cloud(*options), plain), options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--code", "mean", "-n", 2), "there is one for a picture, not 2"),
        (("--category", "sofa"), "expected one of mug, table"),
        (("--mask", "nothing.txt"), "expected a picture or a folder"),
    ],
)
def test_options_that_do_not_fit(pointgen, image_run, photos, tmp_path, options, message):
    out = tmp_path / "a.npy"
    result = pointgen("reconstruct", image_run, photos / "mug.png", "-o", out, *options)
    assert result.status == 2 and message in result.err and not out.exists()


def test_a_run_without_pictures_says_so(pointgen, run, photos, tmp_path):
    result = pointgen("reconstruct", run, photos / "mug.png", "-o", tmp_path / "a.npy")
    assert result.status == 2 and "takes no pictures" in result.err


def test_clouds_still_go_through_such_a_run(pointgen, image_run, photos, tmp_path):
    np.save(cloud := tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(80, 3)))
    assert pointgen("reconstruct", image_run, cloud, "-o", tmp_path / "b.npy").status == 0
    result = pointgen("reconstruct", image_run, cloud, photos, "-o", tmp_path / "c.npy")
    assert result.status == 2 and "either pictures or clouds" in result.err
    result = pointgen("reconstruct", image_run, cloud, "-o", tmp_path / "d.npy", "--score")
    assert result.status == 2 and "--score: is for pictures" in result.err


def test_nothing_is_overwritten(pointgen, image_run, photos, tmp_path):
    arguments = ("reconstruct", image_run, photos / "mug.png", "-o", tmp_path / "a.npy")
    assert pointgen(*arguments, "--points", 8).status == 0
    assert pointgen(*arguments, "--points", 8).status == 2
    assert pointgen(*arguments, "--points", 8, "--force").status == 0


def test_clouds_become_pictures(pointgen, drawing_run, tmp_path):
    np.save(cloud := tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(80, 3)))
    arguments = ("reconstruct", drawing_run, cloud, "-o", tmp_path / "drawn", "-n", 2)
    assert pointgen(*arguments).status == 0
    pictures = [np.asarray(Image.open(tmp_path / "drawn" / f"cloud_{k}.png")) for k in (0, 1)]
    assert pictures[0].shape == (16, 16, 3) and not np.array_equal(*pictures)
    assert pointgen(*arguments).status == 2  # nothing is overwritten
    one = pointgen("reconstruct", drawing_run, cloud, "-o", tmp_path / "one.png", "-n", 2)
    assert one.status == 2 and "expected a folder for 2 pictures" in one.err
    np.save(few := tmp_path / "few.npy", np.zeros((8, 3)))
    result = pointgen("reconstruct", drawing_run, few, "-o", tmp_path / "x")
    assert result.status == 2 and "expected 64 in each cloud, got 8" in result.err
