"""Warm-up for worker processes: the fork server imports this module, which saves each worker half a second."""

from shapecnn.artefacts.prepare import Recipe
from shapecnn.meshes.mesh import normalize, read_mesh
from shapecnn.meshes.readers.binary_stl import read_binary_stl
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings

# The first call of a kernel loads its code, or compiles it on the very first run; the first call of all starts numba.
_mesh = normalize(read_mesh(b"OFF 3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "triangle.off"))
read_binary_stl(bytes(80) + b"\1\0\0\0" + bytes(50))
for _settings in (ViewSettings(size=8), ViewSettings(size=8, fit="view"), VoxelSettings()):
    list(Recipe(_settings).make(_mesh))
