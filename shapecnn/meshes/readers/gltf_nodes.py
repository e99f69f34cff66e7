"""Where the nodes of a glTF stand, and which of them its scene shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_container import at, extension, listed


class Nodes:
    """The nodes of a glTF: ``shown`` are the numbers of those in its scene, in order.

    Raises MeshError if the scene is no tree. Nodes that are hidden (KHR_node_visibility), and those that stand for
    others seen from afar (MSFT_lod), are not shown, nor is what hangs below them.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._nodes = listed(tree, "nodes")
        self._parents = {
            child: n for n, node in reversed([*enumerate(self._nodes)]) for child in listed(node, "children")
        }
        self._worlds: dict[int, NDArray[np.float64]] = {}
        scenes = listed(tree, "scenes")
        far = {i for node in self._nodes for i in listed(extension(node, "MSFT_lod") or {}, "ids")}
        if scenes:
            roots = listed(at(scenes, tree.get("scene", 0)), "nodes")
        else:
            roots = [n for n in range(len(self._nodes)) if n not in self._parents]
        self.shown = self._walk(roots, far)

    def _walk(self, roots: list[Any], far: set[Any]) -> list[int]:
        pending = [(np.eye(4), root, True) for root in reversed(roots)]
        shown = []
        while pending:
            above, number, visible = pending.pop()
            if number in self._worlds:
                raise MeshError("format", "it cannot be read as GLTF: a node of its scene hangs in two places")
            node = at(self._nodes, number)
            with np.errstate(all="ignore"):
                matrix = self._worlds[number] = above @ _local(node)
            visible = visible and number not in far
            visible = visible and (extension(node, "KHR_node_visibility") or {}).get("visible") is not False
            if visible:
                shown.append(number)
            pending += [(matrix, child, visible) for child in reversed(listed(node, "children"))]
        return shown

    def world(self, number: int) -> NDArray[np.float64]:
        """The matrix (4, 4) from a node to the scene; joints of a skin may stand outside of it."""
        chain, seen = [], set()
        above: Any = number
        while above not in self._worlds and above is not None:
            if above in seen:
                raise MeshError("format", "it cannot be read as GLTF: a node hangs below itself")
            seen.add(above)
            chain.append(above)
            above = self._parents.get(above)
        matrix = np.eye(4) if above is None else self._worlds[above]
        for node in reversed(chain):
            with np.errstate(all="ignore"):
                matrix = self._worlds[node] = matrix @ _local(at(self._nodes, node))
        return matrix


def _local(node: Mapping[str, Any]) -> NDArray[np.float64]:
    """The matrix (4, 4) of a node: its own, or translation · rotation · scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    parts = (node.get("translation", (0, 0, 0)), node.get("rotation", (0, 0, 0, 1)), node.get("scale", (1, 1, 1)))
    matrix: NDArray[np.float64] = placed(*(np.array([part], np.float64) for part in parts))[0]
    return matrix


def placed(translation: ArrayLike, rotation: ArrayLike, scale: ArrayLike) -> NDArray[np.float64]:
    """Matrices (k, 4, 4) that scale (k, 3), then rotate by quaternions (k, 4: x, y, z, w), then move (k, 3)."""
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
