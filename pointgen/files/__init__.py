"""Read and write clouds and meshes; a damaged file is one clear `FileError`, never a guess."""

from pointgen.files.atomic import atomic
from pointgen.files.cloud import Cloud
from pointgen.files.errors import FileError
from pointgen.files.meshes import is_mesh, read_mesh
from pointgen.files.read import is_cloud, read_clouds
from pointgen.files.write import check_target, write_clouds

__all__ = [
    "Cloud",
    "FileError",
    "atomic",
    "check_target",
    "is_cloud",
    "is_mesh",
    "read_clouds",
    "read_mesh",
    "write_clouds",
]
