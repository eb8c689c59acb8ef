"""Read and write clouds and meshes; a damaged file is one clear `FileError`, never a guess."""

from pointgen.files.atomic import atomic
from pointgen.files.cloud import Cloud
from pointgen.files.errors import FileError
from pointgen.files.frames import check_frames_target, read_frames, write_frames
from pointgen.files.meshes import MESH_SUFFIXES, is_mesh, read_mesh, read_surface
from pointgen.files.read import is_cloud, read_clouds
from pointgen.files.surface import Surface
from pointgen.files.write import check_target, write_clouds
from pointgen.files.write_mesh import check_mesh_target, is_mesh_target, write_mesh

__all__ = [
    "MESH_SUFFIXES",
    "Cloud",
    "FileError",
    "Surface",
    "atomic",
    "check_frames_target",
    "check_mesh_target",
    "check_target",
    "is_cloud",
    "is_mesh",
    "is_mesh_target",
    "read_clouds",
    "read_frames",
    "read_mesh",
    "read_surface",
    "write_clouds",
    "write_frames",
    "write_mesh",
]
