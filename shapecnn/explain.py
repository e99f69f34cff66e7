"""Which looks at a shape, and which of their pixels or cells, spoke for a class.

Su, Maji, Kalogerakis, Learned-Miller (ICCV 2015), section 4.4, follow the gradient of a class score back through view
pooling to all views. So does this, with Captum, at two seams that every network has: where looks are pooled, and
between its parts. What is followed is a difference of logits, which is what classes are told apart by: a constant
added to all of them changes no probability.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, UsageError
from shapecnn.models.apply import mesh_looks
from shapecnn.models.calibration import probabilities
from shapecnn.models.engine import Device, require_device, runs_on_cuda
from shapecnn.models.input import Looks
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

STEPS = 8  # of the integral, from the activations of nothing to those of the shape
HEAD_STEPS = 256  # of that over what comes after pooling, which costs little
FINE = 12  # cells along one side of a map that still tells one part of a shape from another


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the V looks at a shape say for a class.

    contributions: (V,), logits.  rest: logits of a look at nothing.  logit: their sum, by which the class is ahead.
    heat: (V, ...) like the looks, from −1 to 1: positive where pixels or cells spoke for the class, negative where they
    spoke against it; the largest size is 1.
    """

    contributions: Floats
    rest: float
    logit: float
    heat: Floats

    @property
    def shares(self) -> Floats:
        """(V,), from 0 to 1: of what the looks that speak for the class give. They sum to 1, or to 0 if none does."""
        gain = np.maximum(self.contributions, 0)
        return np.asarray(gain / max(float(gain.sum()), np.finfo(np.float32).tiny), np.float32)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a mesh file was told to be of a class, or not of another.

    looks: what the network saw, (V, ...) uint8.  azimuths: (V,) degrees, of the cameras, or by which a grid is turned.
    elevations: (V,) degrees; None for grids.  found_axes: whether all these are about axes found in the mesh.
    scores: (C,) probabilities.  evidence: for the most probable class, rather than the mean of all.  asked: another
    class.  why_not: the evidence for the most probable rather than that.
    """

    path: str
    looks: Looks
    azimuths: NDArray[np.float64]
    elevations: NDArray[np.float64] | None
    found_axes: bool
    classes: tuple[str, ...]
    scores: Floats
    evidence: Evidence
    asked: str | None
    why_not: Evidence | None

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """All classes with their probabilities, the most probable first."""
        return [(self.classes[place], float(self.scores[place])) for place in np.argsort(-self.scores, kind="stable")]


def explain(
    model: Model,
    paths: Sequence[str],
    *,
    asked: str | None = None,
    up: Up = "z",
    device: Device = "auto",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> list[Explanation | ItemError]:
    """An explanation of each mesh file, in the order given; of one that cannot be used, the error.

    asked: a class that the most probable one is compared with.  Raises UsageError if the model does not have it, has no
    classes, or CUDA is asked for and absent; StoredDataError if the model is damaged.
    """
    classes = classes_of(model)
    if not classes:
        raise UsageError(f"{model.name} has no classes to explain. To train a run that has: shapecnn train CONFIG")
    if asked is not None and asked not in classes:
        close = difflib.get_close_matches(asked, classes, n=3) or classes
        raise UsageError(f"--class {asked}: {model.name} does not know this class, but {', '.join(close)}.")
    require_device(device)
    network: ShapeNetwork | None = None
    found: dict[int, Explanation | ItemError] = {}
    seen = mesh_looks(model.input, paths, up=up, limit=limit, workers=workers, progress=progress)
    for number, looks in seen:
        if isinstance(looks, ItemError):
            found[number] = looks
            continue
        network = network or model.network.build().requires_grad_(False).to("cuda" if runs_on_cuda(device) else "cpu")
        found[number] = _explain(network, model, paths[number], looks, asked)
    return [found[number] for number in range(len(paths))]


def _explain(network: ShapeNetwork, model: Model, path: str, looks: Looks, asked: str | None) -> Explanation:
    import torch

    device = next(network.parameters()).device
    seen = torch.from_numpy(np.ascontiguousarray(looks)).to(device)
    inquiry = Inquiry(network, seen, BACKGROUND if model.input.kind == "views" else 0)
    best = int(inquiry.logits.argmax())
    classes = classes_of(model)
    one_hot = torch.eye(len(classes), device=device)
    other = None if asked is None or asked == classes[best] else classes.index(asked)
    return Explanation(
        path,
        looks,
        *_places(model, len(looks)),
        model.input.drawing().orientation == "auto",
        classes,
        probabilities(inquiry.logits.cpu().numpy(), temperature_of(model)).astype(np.float32),
        inquiry.evidence(one_hot[best] - one_hot.mean(dim=0)),
        None if other is None else asked,
        None if other is None else inquiry.evidence(one_hot[best] - one_hot[other]),
    )


class Inquiry:
    """The looks at one shape, which pass the network once for any number of questions about it.

    looks: (V, ...) uint8.  blank: the value of every pixel or cell in a look at nothing.  activations: (1, V, ...) of
    the looks, which are pooled.  logits: (C,).
    """

    def __init__(self, network: ShapeNetwork, looks: Tensor, blank: int) -> None:
        import torch

        nothing = torch.full_like(looks[:1], blank)
        parts = torch.nn.Sequential(*network.parts.values())
        self._network, self._looks = network, looks
        with torch.no_grad():
            place = _last_fine(parts, network.encode(nothing)) if looks.ndim == 3 else 0
            front, self._back = parts[:place], parts[place:]
            self._maps, self._empty_maps = (front(network.encode(seen))[None] for seen in (looks, nothing))
            self.activations, self._empty = (self._activations(maps) for maps in (self._maps, self._empty_maps))
            self.logits = self._logits(self.activations)[0]

    def _activations(self, maps: Tensor) -> Tensor:
        """(B, V, C, ...) → (B, V, ...)."""
        x: Tensor = self._back(maps.flatten(0, 1))
        return x.reshape(*maps.shape[:2], *x.shape[1:])

    def _logits(self, activations: Tensor) -> Tensor:
        """(B, V, ...) → (B, C)."""
        logits, _ = self._network.head(self._network.pool(activations))
        return logits

    def evidence(self, direction: Tensor) -> Evidence:
        """What speaks for the classes that are positive in ``direction``, (C,), summing to 0."""
        import torch

        contributions, rest = self._contributions(direction)
        heat = self._heat(direction)
        largest = heat.abs().max().clamp(min=torch.finfo(heat.dtype).tiny)
        logit = float(self.logits @ direction)
        return Evidence(contributions.cpu().numpy(), rest, logit, (heat / largest).cpu().numpy())

    def _contributions(self, direction: Tensor) -> tuple[Tensor, float]:
        """What each look gives to the logits along ``direction``, (V,); and the logits of nothing.

        Gradients are integrated (Sundararajan, Taly, Yan, ICML 2017) over what comes after pooling, from what is pooled
        of nothing, and go to the looks as pooling chose them. Where a linear classifier alone comes after it, this is
        exact: with pooling by maximum, look v gives Σ w_d (f_vd − e_d) over the features d of which it has the largest,
        e being those of nothing. Looks that tie share alike.
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
        weights_of_looks = chosen.attribute(self.activations.clone().requires_grad_(), abs=False).detach()
        gains = weights_of_looks * (self.activations - self._empty)
        return gains.flatten(2).sum(dim=(0, 2)), float(score(baseline).detach())

    def _heat(self, direction: Tensor) -> Tensor:
        """What each pixel or filled cell gives, like the looks, float, in no unit.

        Gradients integrated from the maps of nothing, summed over channels. Of pictures those of the last maps that are
        still fine enough, spread over the pixels between their places, as gradients at single pixels are mostly noise;
        grids are so coarse that it is the other way round (docs/explain.md has what was measured).
        """
        from captum.attr import IntegratedGradients
        from torch.nn import functional

        def score(maps: Tensor) -> Tensor:
            return self._logits(self._activations(maps)) @ direction

        gains = IntegratedGradients(score).attribute(
            self._maps, self._empty_maps.expand_as(self._maps), n_steps=STEPS, internal_batch_size=1
        )
        summed: Tensor = gains.detach()[0].sum(dim=1)
        if self._looks.ndim == 4:
            return summed
        side = self._looks.shape[1:]
        return functional.interpolate(summed[:, None], side, mode="bilinear", align_corners=False)[:, 0]


def _last_fine(parts: Sequential, x: Tensor) -> int:
    """How many parts ``x`` can pass and be a map of at least ``FINE`` cells a side; 0: none."""
    for number, part in enumerate(parts):
        y = part(x)
        if y.ndim != x.ndim or min(y.shape[2:]) < FINE:
            return number
        x = y
    return len(parts)


def _places(model: Model, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Azimuths and elevations, in degrees, (V,)."""
    if model.input.kind == "voxels":
        return np.arange(count) * 360 / count, None
    x, y, z = cameras(count).eyes.T
    return np.rad2deg(np.arctan2(y, x)).round(6) % 360, np.rad2deg(np.arctan2(z, np.hypot(x, y))).round(6)
