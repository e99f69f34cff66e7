"""What inputs are thrown at, and how many of them.

Each target takes an input and returns ``read``, or ``refused: KIND`` where it was told in one sentence why not; all
else is a :class:`~tests.fuzz.checks.Finding`. The folder it may use is its own and empty.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from tests.fuzz.inputs import damaged, damaged_sums, damaged_tree, meshes
from tests.fuzz.names import OWN_NAMES, SHOWN, WRITTEN, draw_names, show_names
from tests.fuzz.outputs import situations, use_output
from tests.fuzz.readers import (
    any_name,
    draw_and_fill,
    import_picture,
    list_names,
    read_any_picture,
    read_as,
    read_binvox,
    read_csv,
    read_npz,
    read_zip,
)
from tests.fuzz.stored import read_config, read_stored_arrays, read_stored_table, read_sums


@dataclass(frozen=True)
class Target:
    """inputs: what is thrown at ``run``.  share: of all inputs, in parts of a hundred."""

    inputs: st.SearchStrategy[Any]
    run: Callable[[Any, Path], str]
    share: int


EXTENSIONS = ["off", "obj", "stl", "ply", "glb", "gltf"]
VIEWS = st.builds(
    ViewSettings, size=st.sampled_from([8, 9, 17]), samples=st.integers(1, 3), fit=st.sampled_from(["sphere", "view"]),
    views=st.sampled_from([12, 20]),
) | st.builds(ViewSettings, size=st.just(8), orientation=st.just("auto"))  # fmt: skip
GRIDS = st.builds(
    VoxelSettings, resolution=st.integers(3, 16), padding=st.integers(0, 1), fill=st.sampled_from(["solid", "surface"]),
    rotations=st.integers(1, 3), orientation=st.sampled_from(["upright", "auto"]),
)  # fmt: skip
ANY = st.tuples(st.sampled_from(EXTENSIONS), st.binary(max_size=400) | st.sampled_from(EXTENSIONS).flatmap(damaged))

TARGETS = {
    "off": Target(damaged("off"), read_as("off"), 8),
    "obj": Target(damaged("obj"), read_as("obj"), 9),
    "stl": Target(damaged("stl"), read_as("stl"), 9),
    "ply": Target(damaged("ply"), read_as("ply"), 9),
    "glb": Target(damaged_tree("glb"), read_as("glb"), 9),
    "gltf": Target(damaged_tree("gltf"), read_as("gltf"), 8),
    "wrong extension": Target(ANY, any_name, 5),
    "rasteriser and voxelizer": Target(st.tuples(meshes(), VIEWS, GRIDS), draw_and_fill, 16),
    "binvox": Target(damaged("binvox"), read_binvox, 4),
    "npz": Target(damaged("npz"), read_npz, 3),
    "imported picture": Target(damaged("picture"), import_picture, 3),
    "picture": Target(damaged("picture"), read_any_picture, 4),
    "zip": Target(damaged("zip"), read_zip, 3),
    "csv": Target(damaged("csv"), read_csv, 1),
    "names": Target(st.lists(st.lists(WRITTEN, min_size=1, max_size=3).map(tuple), max_size=4), list_names, 2),
    "table": Target(damaged("table"), read_stored_table, 4),
    "safetensors": Target(damaged_tree("safetensors"), read_stored_arrays, 2),
    "sums": Target(damaged_sums(), read_sums, 1),
    "yaml": Target(damaged("yaml"), read_config, 2),
    "names of its own": Target(OWN_NAMES, draw_names, 2),
    "names that are shown": Target(SHOWN, show_names, 1),
    "output folder": Target(situations(), use_output, 3),
}


def attempt(target: str, drawn: Any, folder: Path) -> str:
    """The outcome of one input, in a folder that is emptied afterwards.  Raises whatever it should not."""
    folder.mkdir()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return TARGETS[target].run(drawn, folder)
    finally:
        shutil.rmtree(folder)


def stored(drawn: Any) -> bytes:
    """An input as a file: bytes as they are, others as Python writes them."""
    return drawn if isinstance(drawn, bytes) else repr(drawn).encode()


def digest(drawn: Any) -> bytes:
    """Eight bytes that tell an input from others."""
    return hashlib.blake2b(stored(drawn), digest_size=8).digest()
