"""Explain predictions: which views of a shape, and which of their pixels or cells, are evidence for a class.

Su, Maji, Kalogerakis, Learned-Miller (ICCV 2015), section 4.4, follow the gradient of a class score back through view
pooling to all views. So does this module, with Captum, at two places of every network: at view pooling, and between
its parts. It follows a difference of logits, because a constant added to all logits changes no probability.
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
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.views.cameras import cameras
from shapecnn.views.raster import BACKGROUND
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Sequential

    from shapecnn.networks.network import ShapeNetwork

Floats = NDArray[np.float32]

STEPS = 8  # of the integral from the activations of empty views to those of the shape
HEAD_STEPS = 256  # of the integral over the layers after view pooling, which cost little
FINE = 12  # cells along one side of a map that still separates the parts of a shape


@dataclass(frozen=True, slots=True)
class Attribution:
    """Contributions of V views or rotations to a class.

    Attributes:
        contributions: (V,) float32, logits that each view contributes.
        rest: Logits of an empty view.
        logit: Sum of both: the lead of the class over the classes that it is compared with.
        heat: (V, ...) float32 like the views, from -1 to 1: positive where pixels or cells speak for the class,
            negative where they speak against it; the largest magnitude is 1.
    """

    contributions: Floats
    rest: float
    logit: float
    heat: Floats

    @property
    def shares(self) -> Floats:
        """Shares of the positive contributions, (V,) float32 from 0 to 1.

        They sum to 1, or to 0 if no contribution is positive.
        """
        gain = np.maximum(self.contributions, 0)
        return np.asarray(gain / max(float(gain.sum()), np.finfo(np.float32).tiny), np.float32)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a mesh was predicted to be of a class, and not of another.

    Attributes:
        path: Path of the mesh file, or the name of a mesh in memory.
        inputs: (V, ...) uint8, views or grids that the network took.
        azimuths: (V,) degrees, of the cameras, or by which a grid is turned.
        elevations: (V,) degrees of the cameras; None for grids.
        found_axes: Whether these angles are about axes that were found in the mesh.
        classes: C labels, in the order of the scores.
        scores: (C,) float32, probabilities.
        evidence: Attribution for the most probable class, against the mean of all.
        asked: Class that was asked about; None if none was, or if it is the most probable one.
        why_not: Attribution for the most probable class, against the one that was asked about.
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

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """All classes with their probabilities, the most probable first."""
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
    """Explain the class of each mesh.

    Args:
        model: A trained run.
        meshes: Paths or arrays of N meshes.
        asked: Class that the most probable one is compared with.
        up: Axis that points up in the meshes.
        device: Where the network runs.
        limit: How many faces a mesh may have, and whether larger ones are simplified.
        workers: Processes that read, draw and fill meshes.
        progress: Called with the number of meshes done and N.

    Returns:
        N explanations in the order given; for a mesh that cannot be used, the error.

    Raises:
        UsageError: The model has no classes, or not the one asked for, or CUDA is asked for and absent.
        StoredDataError: The model is damaged.
    """
    classes = classes_of(model)
    if not classes:
        raise UsageError(f"{model.name} has no classes to explain. To train a run that has: shapecnn train CONFIG")
    if asked is not None and asked not in classes:
        close = difflib.get_close_matches(asked, classes, n=3) or classes
        raise UsageError(f"--class {asked}: {model.name} does not know this class, but {', '.join(close)}.")
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
    """Views or grids of one shape, passed through the network once for any number of attributions.

    Args:
        network: Network that takes them.
        inputs: (V, ...) uint8.
        blank: Value of every pixel or cell of an empty view.

    Attributes:
        activations: (1, V, ...) of the views, which view pooling takes.
        logits: (C,).
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
        """Return the activations of maps, (B, V, C, ...) → (B, V, ...)."""
        x: Tensor = self._back(maps.flatten(0, 1))
        return x.reshape(*maps.shape[:2], *x.shape[1:])

    def _logits(self, activations: Tensor) -> Tensor:
        """Return the logits of activations, (B, V, ...) → (B, C)."""
        logits, _ = self._network.head(self._network.pool(activations))
        return logits

    def attribution(self, direction: Tensor) -> Attribution:
        """Attribute a difference of logits to views, and to their pixels or cells.

        Args:
            direction: (C,), positive for the classes that are asked about, summing to 0.
        """
        import torch

        contributions, rest = self._contributions(direction)
        heat = self._heat(direction)
        largest = heat.abs().max().clamp(min=torch.finfo(heat.dtype).tiny)
        logit = float(self.logits @ direction)
        return Attribution(contributions.cpu().numpy(), rest, logit, (heat / largest).cpu().numpy())

    def _contributions(self, direction: Tensor) -> tuple[Tensor, float]:
        """Return the contribution of each view to the logits along ``direction``, (V,), and the logits of empty views.

        Gradients are integrated (Sundararajan, Taly, Yan, ICML 2017) over the layers after view pooling, from the
        pooled activations of empty views, and go to the views as pooling chose them. Where only a linear classifier
        comes after it, this is exact: with pooling by maximum, view v gives Σ w_d (f_vd − e_d) over the features d
        of which it has the largest, e being those of an empty view. Views that tie share alike.
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
        """Return the contribution of each pixel or filled cell, a float tensor like the views, without a unit.

        Gradients are integrated from the maps of empty views and summed over channels. For views they are taken at the
        last maps that are fine enough and spread over the pixels, as gradients at single pixels are mostly noise; for
        grids, which are coarse, it is the other way round (docs/explain.md has the measurements).
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
    """Return how many parts ``x`` can pass and still be a map of at least ``FINE`` cells a side."""
    for number, part in enumerate(parts):
        y = part(x)
        if y.ndim != x.ndim or min(y.shape[2:]) < FINE:
            return number
        x = y
    return len(parts)


def _angles(model: Model, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return azimuths and elevations of V views in degrees, (V,) each; no elevations for grids."""
    if model.input.kind == "voxels":
        return np.arange(count) * 360 / count, None
    return cameras(count).azimuths, cameras(count).elevations
