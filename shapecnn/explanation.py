"""Explain predictions: which views of a shape, and which pixels or voxel cells, are evidence for a class.

Su, Maji, Kalogerakis, Learned-Miller (ICCV 2015), section 4.4, propagate the gradient of a class score back through
view pooling to all views. This module does the same with Captum. Gradients are taken at two layers of a network: the
input of view pooling gives the contribution of each view, and an earlier layer gives the heat of pixels or cells. The
score is a difference of logits, because a constant added to all logits changes no probability.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, UsageError
from shapecnn.meshes.source import MeshInput, mesh_name
from shapecnn.models.apply import input_arrays
from shapecnn.models.calibration import probabilities
from shapecnn.models.engine import Device, require_device, runs_on_cuda
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model, classes_of, temperature_of
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.views.cameras import cameras
from shapecnn.views.raster import BACKGROUND
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Sequential

    from shapecnn.networks.network import ShapeNetwork

Floats = NDArray[np.float32]

STEPS = 8  # integration steps from the activations of empty views to the activations of the shape
HEAD_STEPS = 256  # integration steps over the layers after view pooling, which are cheap
FINE = 12  # smallest side, in cells, of an activation map that still separates the parts of a shape


@dataclass(frozen=True, slots=True)
class Attribution:
    """Contributions of the V views (or rotations of a grid) of a shape to a class score.

    Attributes:
        contributions: (V,) float32, contribution of each view, in logits.
        rest: Score of empty views, in logits: the part that no view contributes.
        logit: Logit of the class minus the logit it is compared with; equals the sum of contributions and ``rest``.
        heat: Float32 of the same shape as the views or grids, from -1 to 1: positive where pixels or cells are evidence
            for the class, negative where they are evidence against it. The largest magnitude is 1.
    """

    contributions: Floats
    rest: float
    logit: float
    heat: Floats

    @property
    def shares(self) -> Floats:
        """Share of each view in the sum of the positive contributions, (V,) float32 from 0 to 1.

        The shares sum to 1, or to 0 if no contribution is positive.
        """
        gain = np.maximum(self.contributions, 0)
        return np.asarray(gain / max(float(gain.sum()), np.finfo(np.float32).tiny), np.float32)


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Explanation of the predicted class of one mesh: evidence for this class, and evidence against another class.

    Attributes:
        path: Path of the mesh file, or the name of a mesh in memory.
        inputs: Input of the network, uint8: V views (V, S, S) of S × S pixels, or V rotations (V, R, R, R) of a grid of
            R × R × R cells.
        azimuths: (V,) degrees: azimuths of the cameras, or rotation angles of the grids.
        elevations: (V,) degrees: elevations of the cameras; None for grids.
        found_axes: Whether the angles refer to axes computed from the mesh geometry, not to the coordinate axes.
        classes: C labels, in the order of the scores.
        scores: (C,) float32, probabilities of the classes.
        evidence: Attribution for the most probable class, against the mean of all classes.
        asked: Class that the user contrasts with the most probable class; None if there is none or both are the same.
        why_not: Attribution for the most probable class, against the class ``asked``; None if ``asked`` is None.
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
        """Return the mesh, its most probable class and the number of views."""
        label, score = self.ranked[0]
        return f"<Explanation {self.path}: {label} ({score:.1%}), {len(self.inputs)} views>"

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
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> list[Explanation | ItemError]:
    """Explain the predicted class of each mesh.

    Args:
        model: A trained run.
        meshes: N meshes, each a path or arrays.
        asked: Class to contrast with the most probable class; None: the mean of all classes only.
        up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished meshes and N.

    Returns:
        N explanations in the order of ``meshes``, with an error in place of each mesh that cannot be used.

    Raises:
        UsageError: The model has no classes or not the class ``asked``, or CUDA is not available.
        StoredDataError: The model is damaged.
    """
    classes = classes_of(model)
    if not classes:
        raise UsageError(f"{model.name} has no classes to explain. To train a run with classes: shapecnn train CONFIG")
    if asked is not None and asked not in classes:
        close = difflib.get_close_matches(asked, classes, n=3) or classes
        raise UsageError(f"--class {asked}: {model.name} does not know this class. Choose one of: {', '.join(close)}.")
    require_device(device)
    network: ShapeNetwork | None = None
    results: dict[int, Explanation | ItemError] = {}
    arrays = input_arrays(model.input, meshes, up=up, limit=limit, workers=workers, progress=progress)
    for number, array in arrays:
        if isinstance(array, ItemError):
            results[number] = array
            continue
        network = network or model.network.build().requires_grad_(False).to("cuda" if runs_on_cuda(device) else "cpu")
        results[number] = _explain(network, model, mesh_name(meshes[number]), array, asked)
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


class Inquiry:
    """Activations and logits of one shape, computed once and used for any number of attributions.

    Args:
        network: Network to explain.
        inputs: V views (V, S, S) uint8 of S × S pixels, or V rotations (V, R, R, R) uint8 of a grid of R × R × R cells.
        blank: Value of every pixel of an empty view, or of every cell of an empty grid.

    Attributes:
        activations: (1, V, ...) float32, activations of the V views at the input of view pooling.
        logits: (C,) float32, logits of the C classes.
    """

    def __init__(self, network: ShapeNetwork, inputs: Tensor, blank: int) -> None:
        import torch

        empty = torch.full_like(inputs[:1], blank)
        parts = torch.nn.Sequential(*network.parts.values())
        self._network, self._inputs = network, inputs
        with torch.no_grad():
            place = _last_fine(parts, network.encode(empty)) if inputs.ndim == 3 else 0
            front, self._back = parts[:place], parts[place:]
            self._maps, self._empty_maps = (front(network.encode(each))[None] for each in (inputs, empty))
            self.activations, self._empty = (self._activations(maps) for maps in (self._maps, self._empty_maps))
            self.logits = self._logits(self.activations)[0]

    def _activations(self, maps: Tensor) -> Tensor:
        """Compute the input of view pooling, (B, V, ...) of B shapes with V views, from maps (B, V, channels, ...)."""
        x: Tensor = self._back(maps.flatten(0, 1))
        return x.reshape(*maps.shape[:2], *x.shape[1:])

    def _logits(self, activations: Tensor) -> Tensor:
        """Compute the logits (B, C) of C classes from the input of view pooling, (B, V, ...) of B shapes."""
        logits, _ = self._network.head(self._network.pool(activations))
        return logits

    def attribution(self, direction: Tensor) -> Attribution:
        """Attribute a weighted sum of logits to the views, and to the pixels or cells of each view.

        Args:
            direction: (C,), weights of the logits of the C classes, which sum to 0: positive for the class to explain.

        Returns:
            Contributions of the views, and the heat of pixels or cells.
        """
        import torch

        contributions, rest = self._contributions(direction)
        heat = self._heat(direction)
        largest = heat.abs().max().clamp(min=torch.finfo(heat.dtype).tiny)
        logit = float(self.logits @ direction)
        return Attribution(contributions.cpu().numpy(), rest, logit, (heat / largest).cpu().numpy())

    def _contributions(self, direction: Tensor) -> tuple[Tensor, float]:
        """Return the contributions (V,) of V views to the score ``logits @ direction``, and the score of empty views.

        Gradients are integrated (Sundararajan, Taly, Yan, ICML 2017) over the layers after view pooling, from the
        pooled activations of empty views. View pooling then distributes the result to the views. If only a linear
        classifier follows view pooling, the contributions are exact. With max pooling, view v contributes
        Σ w_d (f_vd − e_d), summed over the features d in which view v has the maximum. Here w is the weight of a
        feature, f_v the features of view v, and e the features of an empty view. Views that tie get equal parts.
        """
        from captum.attr import IntegratedGradients, Saliency

        network = self._network

        def score(pooled: Tensor) -> Tensor:
            logits, _ = network.head(pooled)
            return logits @ direction

        pooled, baseline = network.pool(self.activations), network.pool(self._empty)
        mean_gradient = IntegratedGradients(score, multiply_by_inputs=False)
        weights = mean_gradient.attribute(pooled, baseline, n_steps=HEAD_STEPS).detach()
        chosen = Saliency(lambda x: (network.pool(x) * weights).flatten(1).sum(dim=1))
        weights_of_views = chosen.attribute(self.activations.clone().requires_grad_(), abs=False).detach()
        gains = weights_of_views * (self.activations - self._empty)
        return gains.flatten(2).sum(dim=(0, 2)), float(score(baseline).detach())

    def _heat(self, direction: Tensor) -> Tensor:
        """Return what each pixel or filled cell contributes to the score, a float tensor shaped like the input.

        Gradients are integrated from the maps of empty views and summed over channels. For views, gradients are taken
        at the last maps with at least ``FINE`` cells a side, and interpolated to pixels, because gradients at single
        pixels are mostly noise. For grids, which are coarse, gradients at the single cells are better: see
        docs/explain.md for the measurements.
        """
        from captum.attr import IntegratedGradients
        from torch.nn import functional

        def score(maps: Tensor) -> Tensor:
            return self._logits(self._activations(maps)) @ direction

        gains = IntegratedGradients(score).attribute(
            self._maps, self._empty_maps.expand_as(self._maps), n_steps=STEPS, internal_batch_size=1
        )
        summed: Tensor = gains.detach()[0].sum(dim=1)
        if self._inputs.ndim == 4:
            return summed
        side = self._inputs.shape[1:]
        return functional.interpolate(summed[:, None], side, mode="bilinear", align_corners=False)[:, 0]


def _last_fine(parts: Sequential, x: Tensor) -> int:
    """Return the number of leading ``parts`` after which ``x`` is still a map of at least ``FINE`` cells a side."""
    for number, part in enumerate(parts):
        y = part(x)
        if y.ndim != x.ndim or min(y.shape[2:]) < FINE:
            return number
        x = y
    return len(parts)


def _angles(model: Model, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the azimuths and elevations of V views in degrees, (V,) each; the elevations of grids are None."""
    if model.input.kind == "voxels":
        return np.arange(count) * 360 / count, None
    return cameras(count).azimuths, cameras(count).elevations
