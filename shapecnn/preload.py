"""Imported by the server that workers are forked from: what each of them would otherwise load for half a second."""

from shapecnn import prepare  # noqa: F401
from shapecnn.cli import main  # noqa: F401
from shapecnn.mesh import read_mesh

read_mesh(b"OFF 3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "first.off")  # at its first call numba sets itself up
