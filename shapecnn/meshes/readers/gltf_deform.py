"""Deformation of glTF meshes: applies morph targets with default weights, and skins in the pose of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_accessors import Accessors
from shapecnn.meshes.readers.gltf_container import get_list
from shapecnn.meshes.readers.gltf_nodes import Nodes

_BLOCK = 1 << 16  # number of vertices moved at a time: the matrices need four times the memory of the vertices


def apply_morph_targets(
    vertices: NDArray[np.float64], targets: Sequence[Mapping[str, Any]], weights: Sequence[float], accessors: Accessors
) -> NDArray[np.float64]:
    """Move vertices by the weighted displacements of morph targets.

    Args:
        vertices: Coordinates of the n vertices, (n, 3).
        targets: The ``targets`` list of the primitive in the JSON tree.
        weights: Weight of each target.
        accessors: Reader of the displacements.

    Returns:
        Coordinates of the moved vertices, (n, 3).

    Raises:
        MeshError: The displacements are malformed or do not match the vertices (kinds: format, truncated, index,
            too-large).
    """
    for target, weight in zip(targets, weights, strict=False):
        if weight != 0 and "POSITION" in target:
            displacements = accessors.floats(target["POSITION"], "VEC3")
            if len(displacements) != len(vertices):
                told = (
                    f"a morph target has {len(displacements)} displacements, but its mesh has {len(vertices)} vertices"
                )
                raise MeshError("format", told)
            vertices = vertices + float(weight) * displacements
    return vertices


def joint_matrices(skin: Mapping[str, Any], nodes: Nodes, accessors: Accessors) -> NDArray[np.float64]:
    """Compute the matrix of each of the j joints of a skin, from the bind pose of the mesh to the scene, (j, 4, 4).

    Raises:
        MeshError: The inverse bind matrices are malformed or too few (kinds: format, truncated, index, too-large).
    """
    joints = get_list(skin, "joints")
    worlds = np.array([nodes.world(joint) for joint in joints]).reshape(-1, 4, 4)
    if (inverse := skin.get("inverseBindMatrices")) is None:
        return worlds
    matrices = accessors.floats(inverse, "MAT4").reshape(-1, 4, 4).transpose(0, 2, 1)
    if len(matrices) < len(joints):
        raise MeshError("format", f"a skin has {len(joints)} joints, but only {len(matrices)} inverse bind matrices")
    with np.errstate(all="ignore"):
        return np.asarray(worlds @ matrices[: len(joints)])


def influences(
    attributes: Mapping[str, Any], joints: Callable[[str], NDArray[Any]], weights: Callable[[str], NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Collect the joints and weights of the n vertices of a primitive from its attributes JOINTS_0, WEIGHTS_0 and up.

    Args:
        attributes: The ``attributes`` object of the primitive in the JSON tree.
        joints: Function that reads an attribute as joint indices, (n, 4), given its name.
        weights: Function that reads an attribute as weights, (n, 4), given its name.

    Returns:
        Joint indices and weights, each (n, 4·s), where s is the number of attribute pairs; None without such a pair.
    """
    sets = [n for n in range(len(attributes)) if f"JOINTS_{n}" in attributes and f"WEIGHTS_{n}" in attributes]
    if not sets:
        return None
    numbers = np.hstack([joints(f"JOINTS_{n}") for n in sets]).astype(np.int64)
    return numbers, np.hstack([weights(f"WEIGHTS_{n}") for n in sets])


def apply_skin(
    vertices: NDArray[np.float64],
    joints: NDArray[np.int64],
    weights: NDArray[np.float64],
    matrices: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Apply a skin: move each vertex by the weighted mean of the matrices of its joints.

    The weights of a vertex are scaled to a sum of 1. A vertex without weights follows its first joint, as in three.js.

    Args:
        vertices: Coordinates of the n vertices, (n, 3).
        joints: Indices of the k joints of each vertex, (n, k).
        weights: Weights of the k joints of each vertex, (n, k).
        matrices: Matrix of each of the j joints of the skin, (j, 4, 4).

    Returns:
        Coordinates of the moved vertices, (n, 3).

    Raises:
        MeshError: A joint index is invalid, or the arrays have unequal lengths (kinds: index, format).
    """
    if not len(joints) == len(weights) == len(vertices):
        told = f"{len(joints)} rows of joint indices and {len(weights)} rows of weights"
        raise MeshError("format", f"a mesh with a skin has {len(vertices)} vertices, but {told}")
    weights = np.where(np.isfinite(weights), weights, 0.0)
    totals = weights.sum(axis=1)
    weights[totals == 0, 0] = 1.0
    weights /= np.where(totals == 0, 1.0, totals)[:, None]
    joints = np.where(weights == 0, 0, joints)
    lowest, highest = int(joints.min()), int(joints.max())
    if lowest < 0 or highest >= len(matrices):  # joint indices from Draco may be negative
        bad = lowest if lowest < 0 else highest
        raise MeshError("index", f"a vertex refers to joint {bad}, but the skin has {len(matrices)} joints")
    result = np.empty_like(vertices)
    with np.errstate(all="ignore"):  # infinite results become errors later
        for start in range(0, len(vertices), _BLOCK):
            part = slice(start, start + _BLOCK)
            blended = np.einsum("nk,nkij->nij", weights[part], matrices[joints[part], :3])
            result[part] = np.einsum("nij,nj->ni", blended[:, :, :3], vertices[part]) + blended[:, :, 3]
    return result
