"""How a glTF bends its meshes at rest: morph targets by their default weights, skins by where their joints stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_accessors import Accessors
from shapecnn.meshes.readers.gltf_container import listed
from shapecnn.meshes.readers.gltf_nodes import Nodes

_BLOCK = 1 << 16  # vertices bent together: their matrices take four times their memory


def morphed(
    vertices: NDArray[np.float64], targets: Sequence[Mapping[str, Any]], weights: Sequence[float], accessors: Accessors
) -> NDArray[np.float64]:
    """Vertices (n, 3) moved by each target's displacements times its weight.  Raises MeshError."""
    for target, weight in zip(targets, weights, strict=False):
        if weight != 0 and "POSITION" in target:
            moves = accessors.floats(target["POSITION"], "VEC3")
            if len(moves) != len(vertices):
                raise MeshError("format", f"a morph target moves {len(moves)} of {len(vertices)} vertices")
            vertices = vertices + float(weight) * moves
    return vertices


def joint_matrices(skin: Mapping[str, Any], nodes: Nodes, accessors: Accessors) -> NDArray[np.float64]:
    """(j, 4, 4): for each joint of a skin, from where the mesh was bound to where the joint stands in the scene."""
    joints = listed(skin, "joints")
    worlds = np.array([nodes.world(joint) for joint in joints]).reshape(-1, 4, 4)
    if (inverse := skin.get("inverseBindMatrices")) is None:
        return worlds
    matrices = accessors.floats(inverse, "MAT4").reshape(-1, 4, 4).transpose(0, 2, 1)
    if len(matrices) < len(joints):
        raise MeshError("format", f"a skin has {len(joints)} joints, but inverse bind matrices of {len(matrices)}")
    with np.errstate(all="ignore"):
        return np.asarray(worlds @ matrices[: len(joints)])


def influences(
    attributes: Mapping[str, Any], joints: Callable[[str], NDArray[Any]], weights: Callable[[str], NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Which joints (n, 4·s) move each vertex and how much (n, 4·s), of all sets that a primitive has; None if none."""
    sets = [n for n in range(len(attributes)) if f"JOINTS_{n}" in attributes and f"WEIGHTS_{n}" in attributes]
    if not sets:
        return None
    numbers = np.hstack([joints(f"JOINTS_{n}") for n in sets]).astype(np.int64)
    return numbers, np.hstack([weights(f"WEIGHTS_{n}") for n in sets])


def skinned(
    vertices: NDArray[np.float64],
    joints: NDArray[np.int64],
    weights: NDArray[np.float64],
    matrices: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Vertices (n, 3) each moved by the matrices (j, 4, 4) of its joints (n, k), by their weights (n, k).

    Weights that do not add up to 1 are scaled to; without any the first joint moves the vertex, as three.js has it.
    Raises MeshError: index, format.
    """
    if not len(joints) == len(weights) == len(vertices):
        raise MeshError("format", f"it has {len(vertices)} vertices, but joints or weights of {len(joints)}")
    weights = np.where(np.isfinite(weights), weights, 0.0)
    totals = weights.sum(axis=1)
    weights[totals == 0, 0] = 1.0
    weights /= np.where(totals == 0, 1.0, totals)[:, None]
    joints = np.where(weights == 0, 0, joints)
    lowest, highest = int(joints.min()), int(joints.max())
    if lowest < 0 or highest >= len(matrices):  # what is decoded by Draco may be negative
        bad = lowest if lowest < 0 else highest
        raise MeshError("index", f"a vertex names joint {bad}, but there are {len(matrices)} joints")
    bent = np.empty_like(vertices)
    with np.errstate(all="ignore"):  # what becomes infinite is found later
        for start in range(0, len(vertices), _BLOCK):
            part = slice(start, start + _BLOCK)
            blended = np.einsum("nk,nkij->nij", weights[part], matrices[joints[part], :3])
            bent[part] = np.einsum("nij,nj->ni", blended[:, :, :3], vertices[part]) + blended[:, :, 3]
    return bent
