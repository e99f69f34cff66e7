"""Explain predictions: which views, pixels and voxel cells are evidence for the class of a mesh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shapecnn.api.models import ModelSource, device_of, model_of
from shapecnn.errors import ItemError
from shapecnn.explanation import Explanation, explain_meshes
from shapecnn.meshes.source import MeshSource, mesh_inputs, mesh_name
from shapecnn.models.device import Device
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.results import ResultList, framed, html_table, show_with
from shapecnn.workers.pool import ONE_PER_CORE, Workers, as_workers
from shapecnn.workers.progress import Progress, no_progress


class Explanations(ResultList[Explanation | ItemError]):
    """List of explanations of N meshes, in the order of the meshes; a notebook shows a page with the views or grids.

    Attributes:
        names: N paths of mesh files, or names of meshes in memory.
        model: Name of the model.
    """

    __slots__ = ("model", "names")
    per_item = ("names",)

    def __init__(self, explanations: Iterable[Explanation | ItemError], names: list[str], model: str) -> None:
        super().__init__(explanations)
        self.names, self.model = names, model

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each view of each mesh, and one row with the error for each mesh that cannot be used."""
        columns = ("path", "label", "view", "azimuth", "elevation", "share", "contribution", "error")
        rows: list[dict[str, Any]] = []
        for name, explanation in zip(self.names, self, strict=True):
            if isinstance(explanation, ItemError):
                rows.append({"path": name, "error": str(explanation)})
            else:
                label, _ = explanation.ranked[0]
                rows += [{"path": name, "label": label, **row} for row in explanation.view_rows()]
        return [{column: row.get(column) for column in columns} for row in rows]

    def page(self) -> str:
        """Return the explanations as an HTML page, which ``shapecnn explain --html`` writes."""
        from shapecnn.report.explanation import explanation_page

        return explanation_page(self.names, self, self.model)


def explain(
    model: ModelSource,
    meshes: MeshSource | Iterable[MeshSource],
    *,
    label: str | None = None,
    up: Up | None = None,
    device: Device | None = None,
    limit: FaceLimit = NO_LIMIT,
    workers: Workers | int = ONE_PER_CORE,
    progress: Progress = no_progress,
) -> Explanations:
    """Explain which views, pixels and voxel cells are evidence for the predicted class of each mesh.

    Args:
        model: Folder of a trained run, or the result of :func:`open_model`.
        meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
        label: Class to contrast with the predicted class, in addition to the mean of all classes; None for the mean
            only.
        up: Axis that points up in the meshes; None: the up axis of the meshes that the model was trained on.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``; None for that of an open model.
        limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.
        progress: Callback that receives the number of finished meshes and N.

    Returns:
        N explanations in the order of ``meshes``, with an error in place of each mesh that cannot be used.

    Raises:
        UsageError: The model has no classes or not the class ``label``, or an item of ``meshes`` is not a mesh.
        StoredDataError: The model is damaged.

    Example:
        >>> import shapecnn
        >>> (explanation,) = shapecnn.explain("run", "meshes/box/train/0.off", label="round")
        >>> explanation.ranked[0][0], explanation.evidence.shares.shape
        ('box', (12,))
    """
    resolved = model_of(model)
    inputs = mesh_inputs(meshes)
    up, device = up or resolved.up or "z", device_of(model, device)
    explanations = explain_meshes(
        resolved,
        inputs,
        asked=label,
        up=up,
        device=device,
        limit=limit,
        workers=as_workers(workers),
        progress=progress,
    )
    return Explanations(explanations, [mesh_name(mesh) for mesh in inputs], resolved.name)


show_with(Explanations, lambda explanations: framed(explanations.page()) if explanations else html_table([]))
