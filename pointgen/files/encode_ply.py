"""The bytes of a PLY file: points, with what is known of each, and faces."""

from __future__ import annotations

import numpy as np

__all__ = ["ply_bytes"]

NAMES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}


def ply_bytes(
    points: np.ndarray,
    *,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    faces: np.ndarray | None = None,
) -> bytes:
    """Return a binary little-endian PLY file.

    Args:
        points: (N, 3), written as float32.
        normals: (N, 3), written as float32.
        colours: (N, 3), uint8.
        labels: (N,), written as int32.
        faces: (F, 3), indices of points, written as int32; None writes a cloud.
    """
    columns = [(name, "<f4", points[:, i]) for i, name in enumerate("xyz")]
    if normals is not None:
        columns += [(f"n{name}", "<f4", normals[:, i]) for i, name in enumerate("xyz")]
    if colours is not None:
        columns += [(n, "|u1", colours[:, i]) for i, n in enumerate(("red", "green", "blue"))]
    if labels is not None:
        columns.append(("label", "<i4", labels))
    rows = np.zeros(len(points), np.dtype([(name, kind) for name, kind, _ in columns]))
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
    for name, kind, column in columns:
        rows[name] = column
        header += f"property {NAMES[kind]} {name}\n"
    body = rows.tobytes()
    if faces is not None:
        header += f"element face {len(faces)}\nproperty list uchar int vertex_indices\n"
        corners = np.zeros(len(faces), np.dtype([("count", "|u1"), ("corners", "<i4", (3,))]))
        corners["count"], corners["corners"] = 3, faces
        body += corners.tobytes()
    return (header + "end_header\n").encode("ascii") + body
