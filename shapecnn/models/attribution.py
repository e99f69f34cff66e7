"""Explain a class score of a shape: compute the contribution of each view, and of each pixel or voxel cell.

Su, Maji, Kalogerakis, Learned-Miller (ICCV 2015), section 4.4, propagate the gradient of a class score back through
view pooling to all views. This module does the same with Captum. Gradients are taken at two layers of a network: the
input of view pooling gives the contribution of each view, and an earlier layer gives the contribution of each pixel or
cell. The score is a difference of logits, because a constant added to all logits changes no probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Sequential

    from shapecnn.networks.network import ShapeNetwork

Floats = NDArray[np.float32]

STEPS = 8  # integration steps from the activations of empty views to the activations of the shape
HEAD_STEPS = 256  # integration steps over the layers after view pooling, which are cheap
POOL_STEPS = 64  # integration steps over view pooling, for an adapter; max and mean need only one
FINE = 12  # smallest side, in cells, of an activation map that still separates the parts of a shape


@dataclass(frozen=True, slots=True)
class Attribution:
    """Contributions of the V views (or rotations of a grid) of a shape to a class score.

    The score is the logit of the class minus the mean logit of all classes, or minus the logit of another class.

    Attributes:
        contributions: (V,) float32, contribution of each view, in logits.
        rest: Class score of empty views, in logits: the part of the class score that no view contributes.
        logit: Class score of the shape, in logits; equals the sum of ``contributions`` plus ``rest``.
        heat: Contribution of each pixel or cell, float32 of the same shape as the views or grids, from -1 to 1:
            positive where a pixel or cell raises the class score, negative where it lowers the score. The largest
            magnitude is 1.
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


class Inquiry:
    """Explains class scores of one shape. Its activations and logits are computed once, for all explanations.

    Args:
        network: Network to explain.
        inputs: V views (V, S, S) uint8 of S × S pixels, or V rotations (V, R, R, R) uint8 of a grid of R × R × R cells.
        blank: Value of every pixel of an empty view, or of every cell of an empty grid.

    Attributes:
        activations: (1, V, ...) float32, activations of the V views at the input of view pooling.
        logits: (C,) float32, logits of the shape for C classes.
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
        """Compute the input of view pooling (B, V, ...) for V views of B shapes, from feature maps (B, V, ...)."""
        x: Tensor = self._back(maps.flatten(0, 1))
        return x.reshape(*maps.shape[:2], *x.shape[1:])

    def _logits(self, activations: Tensor) -> Tensor:
        """Pool the activations (B, V, ...) of V views of B shapes over the views, and compute C logits (B, C)."""
        logits, _ = self._network.head(self._network.pool(activations))
        return logits

    def attribution(self, direction: Tensor) -> Attribution:
        """Compute what each view, and each pixel or cell, contributes to a class score.

        The score is a weighted sum of the logits.

        Args:
            direction: (C,), weights of the logits of the C classes in the score: positive for the class to explain; the
                sum is 0.

        Returns:
            Contributions of the views, and of the pixels or cells.
        """
        import torch

        contributions, rest = self._contributions(direction)
        heat = self._heat(direction)
        largest = heat.abs().max().clamp(min=torch.finfo(heat.dtype).tiny)
        logit = float(self.logits @ direction)
        return Attribution(contributions.cpu().numpy(), rest, logit, (heat / largest).cpu().numpy())

    def _contributions(self, direction: Tensor) -> tuple[Tensor, float]:
        """Return the contributions (V,) of V views to a class score, and the class score of empty views.

        The score is ``logits @ direction``: ``direction`` (C,) contains the weights of the logits of C classes.

        Gradients are integrated (Sundararajan, Taly, Yan, ICML 2017) over the layers after view pooling, from the
        pooled activations of empty views. View pooling then distributes the result to the views, by gradients that are
        integrated as well. If only a linear classifier follows max or mean pooling, the contributions are exact. With
        max pooling, view v contributes Σ w_d (f_vd − e_d), summed over the features d in which view v has the maximum.
        Here w is the weight of a feature, f_v the features of view v, and e the features of an empty view. Views that
        tie get equal parts.
        """
        from captum.attr import IntegratedGradients

        network = self._network

        def score(pooled: Tensor) -> Tensor:
            logits, _ = network.head(pooled)
            return logits @ direction

        pooled, baseline = network.pool(self.activations), network.pool(self._empty)
        mean_gradient = IntegratedGradients(score, multiply_by_inputs=False)
        weights = mean_gradient.attribute(pooled, baseline, n_steps=HEAD_STEPS).detach()
        through_pooling = IntegratedGradients(lambda x: (network.pool(x) * weights).flatten(1).sum(dim=1))
        gains = through_pooling.attribute(
            self.activations, self._empty.expand_as(self.activations), n_steps=POOL_STEPS, internal_batch_size=1
        ).detach()
        return gains.flatten(2).sum(dim=(0, 2)), float(score(baseline).detach())

    def _heat(self, direction: Tensor) -> Tensor:
        """Return the contribution of each pixel or filled cell to a class score, as floats shaped like the input.

        The score is ``logits @ direction``: ``direction`` (C,) contains the weights of the logits of C classes.
        Gradients are integrated from the feature maps of empty views and summed over channels. For views, gradients
        are taken at the last feature maps of at least 12 × 12 cells (``FINE``), and interpolated to pixels, because
        gradients at single pixels are mostly noise. For grids, which are coarse, gradients at the single cells are
        better: see docs/explain.md for the measurements.
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
    """Count the layers before the feature maps of a network become smaller than 12 (``FINE``) cells a side.

    Args:
        parts: Layers before view pooling.
        x: Input of the first layer.
    """
    for number, part in enumerate(parts):
        y = part(x)
        if y.ndim != x.ndim or min(y.shape[2:]) < FINE:
            return number
        x = y
    return len(parts)
