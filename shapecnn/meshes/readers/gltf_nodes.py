"""Nodes of a glTF scene: computes the matrix of each node and finds the visible nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_container import extension, get_list, item_at


class Nodes:
    """Nodes of a glTF file, with their matrices and the list of visible nodes.

    Hidden nodes (KHR_node_visibility), lower levels of detail (MSFT_lod) and all their descendants are not visible.

    Attributes:
        visible: Numbers of the visible nodes of the scene, in depth-first order.

    Raises:
        MeshError: The nodes of the scene are not a tree (kind: format).
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._nodes = get_list(tree, "nodes")
        self._parents = {
            child: n for n, node in reversed([*enumerate(self._nodes)]) for child in get_list(node, "children")
        }
        self._worlds: dict[int, NDArray[np.float64]] = {}
        scenes = get_list(tree, "scenes")
        lower_detail = {i for node in self._nodes for i in get_list(extension(node, "MSFT_lod") or {}, "ids")}
        if scenes:
            roots = get_list(item_at(scenes, tree.get("scene", 0)), "nodes")
        else:
            roots = [n for n in range(len(self._nodes)) if n not in self._parents]
        self.visible = self._walk(roots, lower_detail)

    def _walk(self, roots: list[Any], lower_detail: set[Any]) -> list[int]:
        """Compute the matrices of all nodes of the scene, and return the numbers of the visible nodes."""
        pending = [(np.eye(4), root, True) for root in reversed(roots)]
        numbers = []
        while pending:
            above, number, visible = pending.pop()
            if number in self._worlds:
                raise MeshError("format", "not a valid glTF file: a node occurs twice in the scene")
            node = item_at(self._nodes, number)
            with np.errstate(all="ignore"):
                matrix = self._worlds[number] = above @ _local(node)
            visible = visible and number not in lower_detail
            visible = visible and (extension(node, "KHR_node_visibility") or {}).get("visible") is not False
            if visible:
                numbers.append(number)
            pending += [(matrix, child, visible) for child in reversed(get_list(node, "children"))]
        return numbers

    def world(self, number: int) -> NDArray[np.float64]:
        """Return the matrix that transforms the coordinates of a node to scene coordinates, (4, 4).

        The node may be a joint that is not part of the scene.

        Raises:
            MeshError: The node is its own ancestor (kind: format).
        """
        chain, ancestors = [], set()
        above: Any = number
        while above not in self._worlds and above is not None:
            if above in ancestors:
                raise MeshError("format", "not a valid glTF file: a node is its own ancestor")
            ancestors.add(above)
            chain.append(above)
            above = self._parents.get(above)
        matrix = np.eye(4) if above is None else self._worlds[above]
        for node in reversed(chain):
            with np.errstate(all="ignore"):
                matrix = self._worlds[node] = matrix @ _local(item_at(self._nodes, node))
        return matrix


def _local(node: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the matrix of a node relative to its parent, (4, 4).

    Without a ``matrix``, the node's translation, rotation and scale are combined.
    """
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    parts = (node.get("translation", (0, 0, 0)), node.get("rotation", (0, 0, 0, 1)), node.get("scale", (1, 1, 1)))
    matrix: NDArray[np.float64] = compose_matrices(*(np.array([part], np.float64) for part in parts))[0]
    return matrix


def compose_matrices(translation: ArrayLike, rotation: ArrayLike, scale: ArrayLike) -> NDArray[np.float64]:
    """Compute k matrices that scale, then rotate, then translate.

    Args:
        translation: Translation vectors, (k, 3).
        rotation: Quaternions in the order x, y, z, w, (k, 4); they are normalized first.
        scale: Scale factors on the three axes, (k, 3).

    Returns:
        The matrices, (k, 4, 4) float64.
    """
    quaternions = np.asarray(rotation, np.float64)
    lengths = np.sqrt((quaternions * quaternions).sum(axis=1, keepdims=True))
    x, y, z, w = (quaternions / np.where(lengths == 0, 1.0, lengths)).T
    matrices = np.zeros((len(quaternions), 4, 4))
    matrices[:, :3, :3] = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    matrices[:, :3, :3] *= np.asarray(scale, np.float64)[:, None, :]
    matrices[:, :3, 3] = translation
    matrices[:, 3, 3] = 1
    return matrices
