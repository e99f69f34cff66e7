"""Explain predictions: find the views, pixels and voxel cells of a shape that raise the score of a class.

The contributions of views and pixels to a score are computed in :mod:`shapecnn.models.attribution`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, UsageError
from shapecnn.meshes.source import MeshInput, mesh_name
from shapecnn.models.apply import prepared_meshes
from shapecnn.models.attribution import Attribution, Floats, Inquiry
from shapecnn.models.calibration import probabilities
from shapecnn.models.device import Device, require_device, runs_on_cuda
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model, classes_of, temperature_of
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.checks import require_choice
from shapecnn.views.cameras import cameras
from shapecnn.views.raster import BACKGROUND
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Explanation of the predicted class of one mesh: how much each view and each pixel or cell adds to its score.

    Attributes:
        path: Path of the mesh file, or the name of a mesh in memory.
        inputs: Input of the network, uint8: V views (V, S, S) of S × S pixels, or V rotations (V, R, R, R) of a grid of
            R × R × R cells.
        azimuths: (V,) degrees: azimuths of the cameras, or rotation angles of the grids.
        elevations: (V,) degrees: elevations of the cameras; None for grids.
        found_axes: True if the angles refer to axes computed from the mesh geometry, False if they refer to the
            coordinate axes of the mesh.
        classes: C class labels, in the order of the scores.
        scores: (C,) float32, probabilities of the classes.
        evidence: Contributions of views and pixels to this score: logit of the most probable class minus the mean
            logit of all classes.
        asked: Class that the user contrasts with the most probable class; None if the user named no class, or named the
            most probable class.
        why_not: Contributions of views and pixels to this score: logit of the most probable class minus the logit of
            the class ``asked``; None if ``asked`` is None.
    """

    path: str
    inputs: InputArray
    azimuths: NDArray[np.float64]
    elevations: NDArray[np.float64] | None
    found_axes: bool
    classes: tuple[str, ...]
    scores: Floats
    evidence: Attribution
    asked: str | None
    why_not: Attribution | None

    def __repr__(self) -> str:
        """Return a short text for display: the mesh, its most probable class and the number of views."""
        label, score = self.ranked[0]
        return f"<Explanation {self.path}: {label} ({score:.1%}), {len(self.inputs)} views>"

    def view_rows(self) -> list[dict[str, Any]]:
        """Return one dict for each view: its number, camera angles, contribution to the score, and share.

        The contribution is in logits. The share is the view's fraction of the sum of all positive contributions. Both
        refer to the score that :attr:`why_not` describes, or if ``why_not`` is None, the score that :attr:`evidence`
        describes. The angles ``azimuth`` and ``elevation`` are in degrees; for a rotated grid, the azimuth
        is the rotation angle and the elevation is None.
        """
        attribution, elevations = self.why_not or self.evidence, self.elevations
        return [
            {
                "view": number,
                "azimuth": float(azimuth),
                "elevation": None if elevations is None else float(elevations[number]),
                "share": float(attribution.shares[number]),
                "contribution": float(attribution.contributions[number]),
            }
            for number, azimuth in enumerate(self.azimuths)
        ]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """All class labels with their probabilities, the most probable first."""
        return [(self.classes[place], float(self.scores[place])) for place in np.argsort(-self.scores, kind="stable")]


def explain_meshes(
    model: Model,
    meshes: Sequence[MeshInput],
    *,
    asked: str | None = None,
    up: Up = "z",
    device: Device = "auto",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
) -> list[Explanation | ItemError]:
    """Explain the predicted class of each mesh.

    Args:
        model: A trained run.
        meshes: N meshes, each a path or arrays.
        asked: Class to contrast with the most probable class, in addition to the mean of all classes; None for the
            mean only.
        up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished meshes and N.

    Returns:
        N explanations in the order of ``meshes``, with an error in place of each mesh that cannot be used.

    Raises:
        UsageError: The model has no classes or does not know the class ``asked``, or ``device`` is ``cuda`` and CUDA is
            not available.
        StoredDataError: The model is damaged.
    """
    classes = classes_of(model)
    if not classes:
        raise UsageError(f"{model.name} has no classes to explain. To train a run with classes: shapecnn train CONFIG")
    if model.network.descriptor is not None:
        raise UsageError(
            f"{model.name} classifies the descriptor {model.network.descriptor}, whose numbers do not belong to pixels "
            f"or cells. Explain a run with a network."
        )
    if asked is not None and asked not in classes:
        close = difflib.get_close_matches(asked, classes, n=3) or classes
        raise UsageError(f"--class {asked}: {model.name} does not know this class. Choose one of: {', '.join(close)}.")
    require_choice("up", up, Up)
    require_device(device)
    network: ShapeNetwork | None = None
    results: dict[int, Explanation | ItemError] = {}
    inputs = prepared_meshes(model.input, meshes, up=up, limit=limit, workers=workers, progress=progress)
    for number, prepared in inputs:
        if isinstance(prepared, ItemError):
            results[number] = prepared
            continue
        network = network or model.network.build().requires_grad_(False).to("cuda" if runs_on_cuda(device) else "cpu")
        results[number] = _explain(network, model, mesh_name(meshes[number]), prepared.array, asked)
    return [results[number] for number in range(len(meshes))]


def _explain(network: ShapeNetwork, model: Model, name: str, inputs: InputArray, asked: str | None) -> Explanation:
    import torch

    device = next(network.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(inputs)).to(device)
    inquiry = Inquiry(network, tensor, BACKGROUND if model.input.kind == "views" else 0)
    best = int(inquiry.logits.argmax())
    classes = classes_of(model)
    one_hot = torch.eye(len(classes), device=device)
    other = None if asked is None or asked == classes[best] else classes.index(asked)
    return Explanation(
        name,
        inputs,
        *_angles(model, len(inputs)),
        model.input.drawing().orientation == "auto",
        classes,
        probabilities(inquiry.logits.cpu().numpy(), temperature_of(model)).astype(np.float32),
        inquiry.attribution(one_hot[best] - one_hot.mean(dim=0)),
        None if other is None else asked,
        None if other is None else inquiry.attribution(one_hot[best] - one_hot[other]),
    )


def _angles(model: Model, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the azimuths and the elevations of ``count`` views in degrees; grids have rotation angles and None."""
    if model.input.kind == "voxels":
        return np.arange(count) * 360 / count, None
    return cameras(count).azimuths, cameras(count).elevations
