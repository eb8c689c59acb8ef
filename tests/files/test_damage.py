"""Every damaged cloud is one `FileError` that starts with the path, soon and in little memory."""

import io
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from pointgen.files import FileError, read_clouds

POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def npy(array, **kwargs):
    buffer = io.BytesIO()
    np.save(buffer, array, **kwargs)
    return buffer.getvalue()


def npy_header(text):
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def ply(vertex="4", properties="float x,float y,float z", body=b"", form="ascii", more=""):
    lines = ["ply", f"format {form} 1.0", f"element vertex {vertex}"]
    lines += [f"property {p}" for p in properties.split(",") if p]
    return (
        "\n".join([*lines, *more.split("|"), "end_header\n"]).replace("\n\n", "\n").encode() + body
    )


def pcd(points="4", data="ascii", body=b"", fields="x y z", size="4 4 4", width=None):
    kind = " ".join("F" * len(size.split()))
    return (
        f"VERSION 0.7\nFIELDS {fields}\nSIZE {size}\nTYPE {kind}\nWIDTH {width or points}\n"
        f"HEIGHT 1\nPOINTS {points}\nDATA {data}\n"
    ).encode() + body


LIST = "element {} 1|property list {} int i"
ONES = b"\xff" * 99
ROWS = b"0 1 2\n3 4 5\n6 7 8\n9 10 11\n"
GIANT = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3), }"
NEGATIVE = "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }"

DAMAGED = {
    "empty.npy": (b"", "empty"),
    "no_points.npy": (npy(POINTS[:0]), "no points"),
    "scalar.npy": (npy(np.float32(1)), r"got \(\)"),
    "flat.npy": (npy(POINTS.ravel()), r"got \(12,\)"),
    "four.npy": (npy(np.ones((5, 4))), r"\(5, 4\)"),
    "transposed.npy": (npy(np.ones((3, 9))), "transposed"),
    "transposed_stack.npy": (npy(np.ones((2, 3, 9))), "transposed"),
    "rank4.npy": (npy(np.ones((1, 2, 3, 3))), r"\(1, 2, 3, 3\)"),
    "text_values.npy": (npy(np.array([["a", "b", "c"]])), "numbers"),
    "complex.npy": (npy(POINTS.astype(complex)), "numbers"),
    "bool.npy": (npy(POINTS > 3), "numbers"),
    "pickle.npy": (npy(np.array([[{}] * 3]), allow_pickle=True), "pickled"),
    "nan.npy": (npy(np.where(POINTS == 4, np.nan, POINTS)), "1 of 4 points are not finite"),
    "inf.npy": (npy(np.where(POINTS > 5, np.inf, POINTS)), "2 of 4 points are not finite"),
    "double.npy": (npy(np.float64(POINTS) * 1e300), "not finite"),
    "far.npy": (npy(np.float64(POINTS) + 1e9), "offset"),
    "cut.npy": (npy(POINTS)[:-1], "truncated"),
    "giant.npy": (npy_header(GIANT), "truncated"),
    "negative.npy": (npy_header(NEGATIVE), "truncated"),
    "noise.npy": (b"1 2 3\n", "npy"),
    "code.npy": (npy_header("__import__('os').getcwd()"), "npy"),
    "structured.npy": (npy(np.zeros(3, [("x", "f4"), ("y", "f4")])), "x, y, z"),
    "ambiguous.npz": (npz(a=POINTS, b=POINTS), "got a, b"),
    "two_known.npz": (npz(points=POINTS, pos=POINTS), "got points, pos"),
    "none.npz": (npz(), "got none"),
    "ids.npz": (npz(points=POINTS[None], ids=["a", "b"]), "2 ids for 1 clouds"),
    "twins.npz": (npz(points=POINTS[[0, 1], None], ids=["a", "a"]), "'a' is there 2 times"),
    "cut.npz": (npz(points=POINTS)[:-30], "npz"),
    "cut.h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
    "negative.ply": (ply("-4", body=ROWS), "element vertex -4"),
    "giant.ply": (ply("1000000000000", body=ROWS), "truncated"),
    "giant_binary.ply": (ply("1000000000000", form="binary_big_endian", body=ROWS), "truncated"),
    "digits.ply": (ply("9" * 9999, body=ROWS), "not understood"),
    "cut_ascii.ply": (ply(body=ROWS[:-9] + b" " * 9), "truncated"),
    "cut_binary.ply": (ply(form="binary_little_endian", body=bytes(47)), "truncated"),
    "more.ply": (ply(body=ROWS + ROWS), "4 lines more"),
    "more_binary.ply": (ply(form="binary_little_endian", body=b"\1" * 60), "12 bytes more"),
    "no_end.ply": (b"ply\nformat ascii 1.0\nelement vertex 1\n", "without end_header"),
    "no_format.ply": (b"ply\nelement vertex 1\nproperty float x\nend_header\n1", "format"),
    "not.ply": (b"plx\n", "PLY"),
    "unknown.ply": (ply(properties="quad x"), "property quad x"),
    "no_z.ply": (ply(properties="float x,float y", body=b"1 2\n" * 4), "x, y, z"),
    "twice.ply": (ply(properties="float x,float y,float z,float x", body=ROWS), "twice"),
    "nan.ply": (ply(body=ROWS.replace(b"4", b"nan")), "1 of 4 points are not finite"),
    "word.ply": (ply(body=ROWS.replace(b"4", b"four")), "PLY"),
    "ragged.ply": (ply(body=ROWS.replace(b"4 5", b"4")), "PLY"),
    "mesh.ply": (ply(more=LIST.format("face", "uchar"), body=ROWS + b"3 0 1 2"), "is a mesh"),
    "list.ply": (
        ply(more=LIST.format("a", "uint"), form="binary_big_endian", body=ONES[:52]),
        "a list of 4294967295",
    ),
    "empty.ply": (ply("0"), "no points"),
    "ragged.xyz": (b"1 2 3\n4 5\n6 7 8\n", "columns"),
    "two.xyz": (b"1 2\n3 4\n", "at least 3 columns"),
    "word.xyz": (b"1 2 3\n4 5 six\n", "six"),
    "molecule.xyz": (b"2\nwater\nO 0 0 0\nH 0 0 1\n", "no rows of numbers"),
    "decimal_comma.xyz": (b"1,5 2,5 3,5\n", "table"),
    "count.xyz": (b"5\n1 2 3\n4 5 6\n", "announces 5 points, got 2"),
    "order.txt": (b"nx ny nz x y z\n0 0 1 1 2 3\n", "nx, ny"),
    "comments.txt": (b"# x y z\n", "no rows"),
    "binary.txt": (bytes(range(256)), "text"),
    "nan.pts": (b"1 2 3\n1 nan 3\n", "1 of 2 points are not finite"),
    "giant.pcd": (pcd("1000000000000", body=ROWS), "truncated"),
    "giant_binary.pcd": (pcd("1000000000000", "binary", ROWS), "truncated"),
    "giant_packed.pcd": (
        pcd("1" + "0" * 8, "binary_compressed", struct.pack("<II", 4, 1200000000) + bytes(4)),
        "announces 1200000000 bytes",
    ),
    "negative.pcd": (pcd("-4", body=ROWS), "natural"),
    "disagree.pcd": (pcd("4", width="5", body=ROWS), "POINTS"),
    "no_z.pcd": (pcd(fields="x y w", body=ROWS), "x, y, z"),
    "sizes.pcd": (pcd(size="4 4", body=ROWS), "equal length"),
    "type.pcd": (pcd(size="4 4 5", body=ROWS), "unknown type"),
    "encoding.pcd": (pcd(data="zip", body=ROWS), "encoding"),
    "no_data.pcd": (b"VERSION 0.7\nFIELDS x y z\n", "DATA"),
    "cut.pcd": (pcd(body=ROWS[:20]), "truncated|announces"),
    "copy.pcd": (
        pcd(data="binary_compressed", body=struct.pack("<II", 2, 48) + b"\x20\x09"),
        "before the first",
    ),
    "packed.xyz.gz": (b"\x1f\x8b", "compressed"),
    "cloud.las": (b"LASF", r"'\.las'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_clear_error(tmp_path, name):
    content, message = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=message) as caught:
            read_clouds(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert peak < 2**24


def test_nothing_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_clouds(tmp_path / "a.npy")
    with pytest.raises(FileError, match="no point files"):
        read_clouds(tmp_path)


def test_a_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", bytes(2**26 + 1))
    with pytest.raises(FileError, match="damaged or hostile"):
        read_clouds(tmp_path / "a.npz")


def test_hdf5_promises_nothing_it_does_not_store(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("points", (10**12, 3), "f4", chunks=(1000, 3))
    with pytest.raises(FileError, match="damaged or hostile"):
        read_clouds(tmp_path / "a.h5")


def external(file, other):
    file.create_dataset("points", (4, 3), "f4", external=[(str(other), 0, 48)])


def virtual(file, other):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(other), "points", (4, 3))
    file.create_virtual_dataset("points", layout)


def link(file, other):
    file["points"] = h5py.ExternalLink(str(other), "points")


@pytest.mark.parametrize("make", (external, virtual, link))
def test_hdf5_reads_no_other_file(tmp_path, make):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["points"] = POINTS
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file, tmp_path / "secret.h5")
    with pytest.raises(FileError, match="another file"):
        read_clouds(tmp_path / "a.h5")


def test_hdf5_strings_of_impossible_length(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["points"] = POINTS[None]
        file.create_dataset("ids", data=["a"], dtype=h5py.string_dtype())
        start = file["ids"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[start : start + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(FileError, match="/ids is damaged"):
        read_clouds(path)


def test_hdf5_with_damage_anywhere(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["points"] = POINTS[None]
        file.create_dataset("ids", data=["a"], dtype=h5py.string_dtype())
    whole = path.read_bytes()
    errors = 0
    for at in range(0, len(whole), 64):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            read_clouds(path)
        except FileError:
            errors += 1
    assert errors > 5
