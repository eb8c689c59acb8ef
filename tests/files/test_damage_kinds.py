"""Every kind of odd file that people bring: the right points or surface, or one clear error.

The files differ from a good one in one thing each. Whatever they are read as, it takes no time to
speak of and little memory, and an error names the file.
"""

import gzip
import io
import time
import tracemalloc

import numpy as np
import pytest

from pointgen.files import FileError, read_clouds, read_mesh

POINTS = np.random.default_rng(0).uniform(-20, 20, size=(400, 3)).astype(np.float32)
HEADER = b"ply\nformat %s 1.0\nelement vertex %s\n%send_header\n"
XYZ = b"property float x\nproperty float y\nproperty float z\n"
ROWS = "\n".join(" ".join(map(repr, row)) for row in POINTS.tolist())
CORNERS = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
SIDES = "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
TETRAHEDRON = 1.5 + np.sqrt(0.75)  # its area


def npy(array, **how):
    buffer = io.BytesIO()
    np.save(buffer, array, **how)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def ply(body, *, form=b"ascii", count=b"400", properties=XYZ):
    return HEADER % (form, count, properties) + body


def one(value):
    return np.concatenate([POINTS[:200], [[0, value, 0]], POINTS[201:]])


def columns(count):
    return np.hstack([POINTS, np.ones((400, count), np.float32)])


SMALL = POINTS.astype(np.int16)
NORMALS_FIRST = b"property float nx\nproperty float ny\nproperty float nz\n" + XYZ
DOUBLES = XYZ.replace(b"float", b"double")
SHORTS = XYZ.replace(b"float", b"short")

READ = {
    "good_f4.npy": (npy(POINTS), POINTS),
    "good_f8.npy": (npy(POINTS.astype("f8")), POINTS),
    "good_big_endian.npy": (npy(POINTS.astype(">f4")), POINTS),
    "good_fortran.npy": (npy(np.asfortranarray(POINTS)), POINTS),
    "normals.npy": (npy(columns(3)), POINTS),
    "stack_of_one.npy": (npy(POINTS[None]), POINTS),
    "two_points.npy": (npy(POINTS[:2]), POINTS[:2]),
    "few.npy": (npy(POINTS[:10]), POINTS[:10]),
    "repeated.npy": (npy(POINTS.repeat(2, 0)), POINTS.repeat(2, 0)),
    "plane.npy": (npy(POINTS * [1, 1, 0]), POINTS * [1, 1, 0]),
    "line.npy": (npy(POINTS * [1, 0, 0]), POINTS * [1, 0, 0]),
    "tiny.npy": (npy(POINTS * np.float32(1e-30)), POINTS * np.float32(1e-30)),
    "outlier.npy": (npy(one(1e6)), one(1e6)),
    "名前 with space é.npy": (npy(POINTS), POINTS),
    "ascii.ply": (ply(ROWS.encode()), POINTS),
    "binary.ply": (ply(POINTS.tobytes(), form=b"binary_little_endian"), POINTS),
    "double.ply": (
        ply(POINTS.astype("<f8").tobytes(), form=b"binary_little_endian", properties=DOUBLES),
        POINTS,
    ),
    "short.ply": (
        ply(SMALL.astype(">i2").tobytes(), form=b"binary_big_endian", properties=SHORTS),
        SMALL,
    ),
    "normals_first.ply": (
        ply(
            np.hstack([POINTS * 0 + 7, POINTS]).tobytes(),
            form=b"binary_little_endian",
            properties=NORMALS_FIRST,
        ),
        POINTS,
    ),
    "comma.xyz": (ROWS.replace(" ", ",").encode(), POINTS),
    "comment_and_count.xyz": (f"# scanned\n400\n{ROWS}\n".encode(), POINTS),
    "byte_order_mark.xyz": (f"\ufeff{ROWS}\n".encode(), POINTS),
}

REFUSED = {
    "label.npy": (npy(columns(1)), r"\(400, 4\)"),
    "transposed.npy": (npy(POINTS.T), "transposed"),
    "scalar.npy": (npy(np.float32(3)), r"got \(\)"),
    "no_points.npy": (npy(POINTS[:0]), "no points"),
    "one_infinite.npy": (npy(one(np.inf)), "1 of 400 points"),
    "all_nan.npy": (npy(POINTS * np.nan), "400 of 400 points"),
    "header_only.npy": (npy(POINTS)[:128], "4800 bytes, 0 are there"),
    "no_bytes.npy": (b"", "empty"),
    "text.npy": (ROWS.encode(), "npy"),
    "objects.npy": (npy(np.array([[None] * 3]), allow_pickle=True), "pickled"),
    "two_keys.npz": (npz(a=POINTS, b=POINTS), "got a, b"),
    "no_keys.npz": (npz(), "got none"),
    "cut.ply": (ply(POINTS.tobytes()[:2000], form=b"binary_little_endian"), "truncated"),
    "negative_count.ply": (ply(ROWS.encode(), count=b"-5"), "element vertex -5"),
    "no_end_header.ply": (
        ply(POINTS.tobytes(), form=b"binary_little_endian").replace(b"end_header\n", b""),
        "header line not understood",
    ),
    "nan.ply": (ply(ROWS.replace(ROWS.split()[0], "nan", 1).encode()), "1 of 400 points"),
    "ragged.xyz": (b"1 2 3\n4 5\n6 7 8\n", "columns"),
    "packed.xyz.gz": (gzip.compress(ROWS.encode()), "compressed"),
}

SURFACES = {
    "plain.off": f"OFF\n4 4 6\n{CORNERS}{SIDES}",
    "counts_on_the_first_line.off": f"OFF4 4 6\n{CORNERS}{SIDES}",
    "white_space_first.off": f" \t  OFF4 4 6 # sides\n {CORNERS}{SIDES}",
    "comments.off": f"# by hand\nOFF\n# counts\n4 4 6\n{CORNERS}# sides\n{SIDES}",
}

NO_SURFACES = {
    "counts_alone.off": ("OFF8 12 0\n", "has 0 numbers"),
    "no_area.off": ("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "area 0"),
    "points.ply": (ply(ROWS.encode()).decode(), "no faces"),
}


@pytest.fixture(autouse=True)
def _soon_and_small():
    """Fail a test that takes seconds, or memory far beyond that of the file."""
    start = time.perf_counter()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 5
    assert peak < 2**25


@pytest.mark.parametrize("name", READ)
def test_points_come_back(tmp_path, name):
    content, expected = READ[name]
    (tmp_path / name).write_bytes(content)
    (cloud,) = read_clouds(tmp_path / name)
    assert cloud.points.dtype == np.float32
    np.testing.assert_array_equal(cloud.points, expected.astype(np.float32))


def refusal(read, path, message):
    with pytest.raises(FileError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_no_points_are_made_up(tmp_path, name):
    content, message = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    refusal(read_clouds, tmp_path / name, message)


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_come_back(tmp_path, name):
    (tmp_path / name).write_text(SURFACES[name])
    mesh = read_mesh(tmp_path / name)
    assert len(mesh.faces) == 4
    assert mesh.area == pytest.approx(TETRAHEDRON)


@pytest.mark.parametrize("name", NO_SURFACES)
def test_no_surface_is_made_up(tmp_path, name):
    content, message = NO_SURFACES[name]
    (tmp_path / name).write_text(content)
    refusal(read_mesh, tmp_path / name, message)
