"""Files as other programs write them are read right."""

import struct

import h5py
import numpy as np
import pytest

from pointgen.files import read_clouds

POINTS = np.array([[0.5, -1, 2], [3, 4e-3, 5], [6, 7, -8e2]])
TEXT = ["0.5 -1 2", "3 4e-3 5", "6 7 -8e2"]


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (cloud,) = read_clouds(path)
    return cloud.points


@pytest.mark.parametrize(
    "text",
    (
        "\n".join(TEXT),
        "\r\n".join([*TEXT, "", ""]),
        "\ufeff" + "\n".join(TEXT),
        "\n".join(TEXT).replace(" ", ", "),
        "\n".join(TEXT).replace(" ", ";"),
        "\n".join(TEXT).replace(" ", "\t"),
        "3\n" + "\n".join(TEXT),
        "//X Y Z R\n3\n" + "\n".join(f"{row} 9" for row in TEXT),
        "# made by hand\nx,y,z\n" + "\n".join(TEXT).replace(" ", ","),
        "\n".join(f"{row} 255 0 1" for row in TEXT) + "\n# the end",
    ),
)
@pytest.mark.parametrize("ending", ("xyz", "txt", "pts"))
def test_text(tmp_path, text, ending):
    np.testing.assert_array_equal(read(tmp_path / f"名 é.{ending}", text), POINTS.astype("f4"))


PLY_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@pytest.mark.parametrize("form", PLY_ORDERS)
@pytest.mark.parametrize("end", ("\n", "\r\n"))
def test_ply_by_name_among_other_elements(tmp_path, form, end):
    header = [
        "ply", "comment first", f"format {form} 1.0", "element camera 1", "property uchar id",
        "property list uchar short v", "element vertex 3", "property float nx",
        "property double Z", "property list uchar int links", "property float x",
        "property uchar red", "property float64 y", "element face 0",
        "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    if form == "ascii":
        rows = [f"9 {z} {i} {'7 ' * i}{x} 255 {y}" for i, (x, y, z) in enumerate(POINTS)]
        body = end.join(["1 2 5 6", *rows, ""]).encode()
    else:
        order = PLY_ORDERS[form]
        body = struct.pack(f"{order}BBhh", 1, 2, 5, 6)
        for i, (x, y, z) in enumerate(POINTS):
            body += struct.pack(f"{order}fdB{i}ifBd", 9, z, i, *[7] * i, x, 255, y)
    points = read(tmp_path / "a.ply", end.join(header).encode() + body)
    np.testing.assert_array_equal(points, POINTS.astype("f4"))


def lzf(data):
    """Pack in the plainest way: literals, and a run of a repeated byte as an overlapping copy."""
    out, at = b"", 0
    while at < len(data):
        run = len(data[at:]) - len(data[at:].lstrip(data[at : at + 1]))
        if run > 10:
            length = min(run - 1, 264)
            out += bytes([0, data[at]]) + bytes([7 << 5, length - 9, 0])
            at += 1 + length
        else:
            piece = data[at : at + min(32, max(run, 1))]
            out += bytes([len(piece) - 1]) + piece
            at += len(piece)
    return out


@pytest.mark.parametrize("encoding", ("ascii", "binary", "binary_compressed"))
def test_pcd(tmp_path, encoding):
    header = (
        "# .PCD v.7\nVERSION .7\nFIELDS rgb X _ Y Z\nSIZE 4 4 1 8 4\nTYPE U F U F F\n"
        f"COUNT 1 1 40 1 1\nWIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA {encoding}\n"
    ).encode()
    dtype = np.dtype([("c", "<u4"), ("x", "<f4"), ("_", "u1", 40), ("y", "<f8"), ("z", "<f4")])
    rows = np.zeros(3, dtype)
    for axis, column in zip("xyz", POINTS.T, strict=True):
        rows[axis] = column
    if encoding == "ascii":
        body = "\n".join(f"1 {x} {'0 ' * 40}{y} {z}" for x, y, z in POINTS).encode()
    elif encoding == "binary":
        body = rows.tobytes()
    else:
        data = b"".join(rows[name].tobytes() for name in dtype.names)
        packed = lzf(data)
        assert len(packed) < len(data)
        body = struct.pack("<II", len(packed), len(data)) + packed
    np.testing.assert_array_equal(read(tmp_path / "a.pcd", header + body), POINTS.astype("f4"))


@pytest.mark.parametrize("kind", ("<f4", ">f8", "<f2", "<i2"))
def test_npy_of_any_number_and_order(tmp_path, kind):
    array = np.asfortranarray(np.arange(24).reshape(2, 4, 3).astype(kind))
    np.save(tmp_path / "a.npy", array)
    clouds = read_clouds(tmp_path / "a.npy")
    assert [c.id for c in clouds] == ["a-0000", "a-0001"]
    np.testing.assert_array_equal(np.stack([c.points for c in clouds]), array.astype("f4"))


def test_npy_with_normals_or_names(tmp_path):
    np.save(tmp_path / "a.npy", np.hstack([POINTS[[0, 1, 2, 0]], np.ones((4, 3))]))
    named = np.zeros(3, [("red", "u1"), ("Z", "f4"), ("X", "f4"), ("Y", "f4")])
    named["X"], named["Y"], named["Z"] = POINTS.T
    np.save(tmp_path / "b.npy", named)
    for cloud in read_clouds(tmp_path):
        np.testing.assert_array_equal(cloud.points[:3], POINTS.astype("f4"))


@pytest.mark.parametrize("key", ("points", "clouds", "pos", "coords", "whatever"))
def test_npz_keys(tmp_path, key):
    np.savez_compressed(tmp_path / "a.npz", **{key: POINTS})
    np.testing.assert_array_equal(read_clouds(tmp_path / "a.npz")[0].points, POINTS.astype("f4"))


@pytest.mark.parametrize("key", ("points", "clouds", "data"))
def test_h5_keys(tmp_path, key):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset(key, data=POINTS[None], compression="gzip")
        file["label"] = [1]
    np.testing.assert_array_equal(read_clouds(tmp_path / "a.hdf5")[0].points, POINTS.astype("f4"))
