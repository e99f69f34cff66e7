"""Load libraries and compile kernels before the worker processes start, which saves half a second in each process.

The fork server imports this module; the workers inherit everything that it has loaded.
"""

from shapecnn.artefacts.prepare import Recipe
from shapecnn.meshes.mesh import normalize, read_mesh
from shapecnn.meshes.quantities import measure
from shapecnn.meshes.readers.binary_stl import read_binary_stl
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings

# The first call of a numba kernel loads or compiles its machine code, so each kernel is called once on a triangle.
_mesh = normalize(read_mesh(b"OFF 3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "triangle.off"))
read_binary_stl(bytes(80) + b"\1\0\0\0" + bytes(50))
measure(_mesh)
for _settings in (ViewSettings(size=8), ViewSettings(size=8, fit="view"), VoxelSettings()):
    list(Recipe(_settings).make(_mesh))
