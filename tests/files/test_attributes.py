"""Normals, colours and labels are read as other programs write them, and never guessed."""

import struct

import h5py
import numpy as np
import pytest

from pointgen.files import FileError, read_clouds

COUNT = 5
POINTS = np.arange(3 * COUNT, dtype=np.float32).reshape(COUNT, 3) / 7
NORMALS = np.array(
    [[0, 0, 1], [1, 0, 0], [0.6, 0.8, 0], [0, -1, 0], [-0.6, 0, 0.8]], dtype=np.float32
)
COLOURS = np.array(
    [[0, 0, 0], [255, 255, 255], [1, 2, 3], [200, 100, 50], [0, 255, 7]], dtype=np.uint8
)
LABELS = np.array([3, 0, 49, 3, 12])
HEADER = "ply\nformat {} 1.0\nelement vertex 5\n{}end_header\n"


def read(path):
    (cloud,) = read_clouds(path)
    np.testing.assert_allclose(cloud.points, POINTS, rtol=1e-6)
    return cloud


def check(cloud, normals=None, colours=None, labels=None, left_out=()):
    for got, expected, kind in (
        (cloud.normals, normals, np.float32),
        (cloud.colours, colours, np.uint8),
        (cloud.labels, labels, np.int64),
    ):
        if expected is None:
            assert got is None
        else:
            assert got.dtype == kind
            np.testing.assert_array_equal(got, np.asarray(expected, kind))
    assert len(cloud.left_out) == len(left_out)
    for said, word in zip(cloud.left_out, left_out, strict=True):
        assert word in said


def text(*columns):
    return "\n".join(" ".join(f"{v:.12g}" for v in row) for row in np.column_stack(columns))


PLY = {
    "float x,float y,float z,float nx,float ny,float nz": (NORMALS,),
    "uchar red,uchar green,uchar blue,uchar alpha": (COLOURS, 0 * LABELS),
    "float red,float green,float blue": (COLOURS / np.float32(255),),
    "ushort r,ushort g,ushort b": (COLOURS.astype(int) * 257,),
    "int label": (LABELS,),
    "float part": (LABELS,),
    "uchar part_label": (LABELS,),
    "ushort class": (LABELS,),
}
KINDS = {"float": "f4", "uchar": "u1", "ushort": "u2", "int": "i4"}


@pytest.mark.parametrize("form", ("ascii", "binary_little_endian", "binary_big_endian"))
@pytest.mark.parametrize("properties", PLY)
def test_ply(tmp_path, form, properties):
    pairs = [pair.split() for pair in properties.split(",") if pair[-2:] not in (" x", " y", " z")]
    columns = np.column_stack(PLY[properties]).T
    places = [("float", axis) for axis in "xyz"]
    kinds = [*places[:1], *pairs, *places[1:]]  # x, then what else there is, then y and z
    values = [POINTS[:, 0], *columns, POINTS[:, 1], POINTS[:, 2]]
    header = HEADER.format(form, "".join(f"property {kind} {name}\n" for kind, name in kinds))
    order = ">" if "big" in form else "<"
    rows = np.zeros(COUNT, [(name, order + KINDS[kind]) for kind, name in kinds])
    for (_, name), column in zip(kinds, values, strict=True):
        rows[name] = column
    if form == "ascii":
        body = "\n".join(" ".join(map(str, row)) for row in rows.tolist()).encode()
    else:
        body = rows.tobytes()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    name = pairs[0][1]
    what = {"nx": "normals", "red": "colours", "r": "colours"}.get(name, "labels")
    expected = {"normals": NORMALS, "colours": COLOURS, "labels": LABELS}[what]
    check(read(tmp_path / "a.ply"), **{what: expected})


def test_ascii_bytes_are_no_shares(tmp_path):
    dark = np.minimum(COLOURS, 1)
    header = "".join(f"property float {axis}\n" for axis in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    (tmp_path / "a.ply").write_text(HEADER.format("ascii", header) + text(POINTS, dark) + "\n")
    check(read(tmp_path / "a.ply"), colours=dark)


PACKED = (
    np.uint32(255) << 24 | COLOURS.astype("u4") @ np.array([1 << 16, 1 << 8, 1], "u4")
).astype("<u4")


def pcd(fields, size, kind, data, body):
    ones = " ".join("1" for _ in size.split())
    return (
        f"VERSION 0.7\nFIELDS x y z {fields}\nSIZE 4 4 4 {size}\nTYPE F F F {kind}\n"
        f"COUNT 1 1 1 {ones}\nWIDTH 5\nHEIGHT 1\nPOINTS 5\nDATA {data}\n"
    ).encode() + body


@pytest.mark.parametrize(
    ("name", "kind", "opaque"),
    (("rgb", "F", 0), ("rgb", "U", 0), ("rgba", "U", 1), ("rgb", "F", 1)),
)
def test_pcd_with_packed_colours(tmp_path, name, kind, opaque):
    packed = PACKED if opaque else PACKED & 0xFFFFFF
    rows = np.zeros(COUNT, [("p", "<f4", 3), ("n", "<f4", 3), ("c", "<u4"), ("l", "<u4")])
    rows["p"], rows["n"], rows["c"], rows["l"] = POINTS, NORMALS, packed, LABELS
    fields = f"normal_x normal_y normal_z {name} label"
    form = (fields, "4 4 4 4 4", f"F F F {kind} U")
    (tmp_path / "a.pcd").write_bytes(pcd(*form, "binary", rows.tobytes()))
    check(read(tmp_path / "a.pcd"), NORMALS, COLOURS, LABELS)
    columns = [rows["p"].T, rows["n"].T, rows["c"], rows["l"]]
    body = b"".join(c.tobytes() for c in columns)
    pieces = [body[at : at + 32] for at in range(0, len(body), 32)]
    packed_body = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
    header = struct.pack("<II", len(packed_body), len(body))
    (tmp_path / "a.pcd").write_bytes(pcd(*form, "binary_compressed", header + packed_body))
    check(read(tmp_path / "a.pcd"), NORMALS, COLOURS, LABELS)
    shown = packed.view("<f4") if kind == "F" else packed
    (tmp_path / "a.pcd").write_text(
        pcd(*form, "ascii", b"").decode() + text(POINTS, NORMALS, shown, LABELS)
    )
    if kind == "F" and opaque:  # in a text, these bits are no more than "nan"
        check(read(tmp_path / "a.pcd"), NORMALS, None, LABELS, ["colours"])
    else:
        check(read(tmp_path / "a.pcd"), NORMALS, COLOURS, LABELS)


@pytest.mark.parametrize("ending", ("xyz", "txt", "npy"))
@pytest.mark.parametrize(
    ("columns", "expected"),
    (
        ((NORMALS,), {"normals": NORMALS}),
        ((COLOURS,), {"colours": COLOURS}),
        ((np.eye(3)[[0, 2, 1, 0, 2]],), {"normals": np.eye(3)[[0, 2, 1, 0, 2]]}),
        ((2.5 * NORMALS,), {"normals": np.float32(2.5) * NORMALS}),
        ((NORMALS, LABELS), {"normals": NORMALS, "labels": LABELS}),
        ((NORMALS, LABELS + 0.5), {}),
        ((COLOURS, LABELS / 7), {"colours": COLOURS}),
        ((-1 - LABELS, COLOURS), {"colours": COLOURS}),
    ),
)
def test_the_number_of_columns_says_what_they_are(tmp_path, ending, columns, expected):
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, np.column_stack([POINTS, *columns]))
    else:
        path.write_text(text(POINTS, *columns))
    check(read(path), **expected)


def test_pts_have_an_intensity_before_their_colours(tmp_path):
    (tmp_path / "a.pts").write_text("5\n" + text(POINTS, LABELS, COLOURS))
    check(read(tmp_path / "a.pts"), colours=COLOURS)


@pytest.mark.parametrize("first", ("colours", "normals"))
def test_nine_columns_of_text(tmp_path, first):
    both = (COLOURS, NORMALS) if first == "colours" else (NORMALS, COLOURS)
    (tmp_path / "a.txt").write_text(text(POINTS, *both))
    check(read(tmp_path / "a.txt"), NORMALS, COLOURS)


@pytest.mark.parametrize(
    ("names", "columns", "expected"),
    (
        ("//X Y Z R G B Nx Ny Nz", (COLOURS, NORMALS), {"normals": NORMALS, "colours": COLOURS}),
        ("# x y z r g b label", (0 * COLOURS, LABELS), {"colours": 0 * COLOURS, "labels": LABELS}),
        ("x y z red green blue", (COLOURS / 255,), {"colours": COLOURS}),
        ("x y z a b c", (COLOURS,), {}),
        ("x y z", (COLOURS,), {}),
    ),
)
def test_a_line_of_names_says_what_columns_are(tmp_path, names, columns, expected):
    (tmp_path / "a.txt").write_text(f"{names}\n" + text(POINTS, *columns))
    check(read(tmp_path / "a.txt"), **expected)


def test_a_structured_array(tmp_path):
    kinds = [(axis, "f4") for axis in "xyz"] + [("Red", "u1"), ("Green", "u1"), ("Blue", "u1")]
    array = np.zeros(COUNT, [*kinds, ("label", "i2"), ("v", "f4", 2)])
    for name, column in zip(array.dtype.names, [*POINTS.T, *COLOURS.T, LABELS], strict=False):
        array[name] = column
    np.save(tmp_path / "a.npy", array)
    check(read(tmp_path / "a.npy"), colours=COLOURS, labels=LABELS)


def save(path, arrays):
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.mark.parametrize("ending", ("npz", "h5"))
@pytest.mark.parametrize(
    ("more", "expected", "left_out"),
    (
        ({"normals": NORMALS, "colors": COLOURS, "labels": LABELS}, "normals colours labels", ()),
        (
            {"normal": NORMALS, "rgb": COLOURS, "label": LABELS[:, None]},
            "normals colours labels",
            (),
        ),
        ({"colours": COLOURS / 255.0}, "colours", ()),
        ({"colours": np.hstack([COLOURS, COLOURS[:, :1]])}, "colours", ()),
        ({"label": [3], "pid": LABELS}, "labels", ()),  # ShapeNet-Part: of the shape, of the points
        ({"label": [3]}, "", ["label"]),
        ({"mesh": [3]}, "", ["mesh, which clouds have no place for"]),
        ({"normals": NORMALS[1:]}, "", ["normals, which has not a row"]),
        ({"normals": NORMALS * np.nan}, "", ["normals, which are not all finite"]),
        ({"colors": COLOURS.astype(int) - 1}, "", ["colours, which are neither"]),
        ({"colors": COLOURS / 255.0 * 1.5}, "", ["colours, which are neither"]),
        ({"labels": LABELS + 0.5}, "", ["labels, which are not whole"]),
        ({"labels": np.array(list("abcde"), "S1")}, "", ["labels"]),
    ),
)
@pytest.mark.parametrize("stacked", (False, True))
def test_arrays_beside_the_points(tmp_path, ending, more, expected, left_out, stacked):
    arrays = {"points": POINTS, **{name: np.asarray(array) for name, array in more.items()}}
    if stacked:
        arrays = {name: array[None] for name, array in arrays.items()}
    save(tmp_path / f"a.{ending}", arrays)
    known = {"normals": NORMALS, "colours": COLOURS, "labels": LABELS}
    known = {name: known[name] for name in expected.split()}
    check(read(tmp_path / f"a.{ending}"), **known, left_out=left_out)


def test_pickled_labels_do_not_hide_the_points(tmp_path):
    np.savez(tmp_path / "a.npz", points=POINTS, labels=np.array([None] * COUNT))
    check(read(tmp_path / "a.npz"), left_out=["labels"])


def test_labels_that_are_all_zero_are_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("pointgen.files.errors.SMALL", 0)  # as if the file were large
    points = np.random.default_rng(0).normal(size=(2**15, 3)).astype("f4")
    np.savez_compressed(tmp_path / "a.npz", points=points, labels=np.zeros(len(points), np.int64))
    (cloud,) = read_clouds(tmp_path / "a.npz")
    assert cloud.labels.shape == (len(points),)


@pytest.mark.parametrize("there", (True, False))
def test_hdf5_reads_normals_of_no_other_file(tmp_path, there):
    if there:
        save(tmp_path / "other.h5", {"normals": NORMALS})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["points"] = POINTS
        file["normals"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "normals")
    with pytest.raises(FileError, match="normals links to another file"):
        read_clouds(tmp_path / "a.h5")


@pytest.mark.parametrize("ending", ("npz", "h5"))
def test_normals_alone_are_no_points(tmp_path, ending):
    save(tmp_path / f"a.{ending}", {"normals": NORMALS, "labels": LABELS})
    with pytest.raises(FileError, match=r"got labels, normals|got normals, labels"):
        read_clouds(tmp_path / f"a.{ending}")


def test_what_is_known_of_points_is_no_view_of_the_file(tmp_path):
    np.save(tmp_path / "a.npy", np.hstack([POINTS, NORMALS])[None].repeat(3, 0))
    for cloud in read_clouds(tmp_path / "a.npy"):
        cloud.normals[:] = 0  # writable
        cloud.points[:] = 0
