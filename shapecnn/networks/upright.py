"""Upright pooling: of 24 views along a shape's own axes, those count most in which the shape looks upright.

The own axes of a mesh (:mod:`shapecnn.meshes.orientation`) do not tell which of their six ends is up. The 24 views show
the shape with each end up, four times each. A linear scorer compares the six poses by the features of an image network,
because a chair on its legs looks different from a chair on its side, and by measures of the outline, because things
that stand are wide below, heavy below, and symmetric from left to right. It was trained on generated shapes, whose up
axis is known (``scripts/upright.py``).
"""

from __future__ import annotations

from importlib import resources

import torch
from torch import Tensor, nn

from shapecnn.networks.network import ShapeNetwork

VIEWS = 24
POSES = 6
MEASURES = 13
"""Number of measures of an outline."""

_GRID = 56  # rows and columns of the picture in which outlines are measured
_END = 0.15  # share of the height that counts as base and as head of an outline
_LARGEST = 3.0  # measures are clipped to this many standard deviations


class UprightPooling(nn.Module):
    """View pooling: the mean over the views, weighted by how upright the shape looks in them.

    The input has D features of each view, followed by the :func:`outline` of the view. Both are averaged over the four
    views of a pose. The score of a pose is the sum of two inner products: of ``direction`` and the signed square roots
    of the features, scaled to unit length; and of ``outline`` and the measures, relative to their mean over the poses.
    The softmax of the six scores weights the features of the poses. Any other number of views is averaged without
    weights.

    Args:
        direction: (D,) float, weights of the features.
        outline: (13,) float, weights of the measures.
        spread: (13,) float, standard deviations of the measures among the poses of a shape.
        poses: (24,) int64, number of the pose that each view shows, from 0 to 5.
    """

    def __init__(self, direction: Tensor, outline: Tensor, spread: Tensor, poses: Tensor) -> None:
        super().__init__()
        self.register_buffer("direction", direction, persistent=False)
        self.register_buffer("outline", outline, persistent=False)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("order", poses.argsort(stable=True), persistent=False)
        self.direction: Tensor
        self.outline: Tensor
        self.spread: Tensor
        self.order: Tensor

    def forward(self, described: Tensor) -> Tensor:
        """Combine D features and the outline of each of V views of B shapes, (B, V, D + 13), into (B, D) features."""
        features = described[..., :-MEASURES]
        if described.shape[1] != VIEWS:
            return features.mean(dim=1)
        poses = average_poses(described, self.order)
        weights = self.scores(poses).softmax(dim=1)
        pooled: Tensor = (weights[:, :, None] * poses[..., :-MEASURES]).sum(dim=1)
        return pooled

    def scores(self, poses: Tensor) -> Tensor:
        """Return how upright each pose of B shapes looks, (B, 6), from the averages of its views, (B, 6, D + 13)."""
        features, outlines = poses[..., :-MEASURES], poses[..., -MEASURES:]
        return prepare(features) @ self.direction + relative(outlines, self.spread) @ self.outline


class Outlined(nn.Module):
    """The parts of a network, after whose D features of each view come the measures of its outline.

    Args:
        encode: Module that converts uint8 views to the float input of the first part.
        parts: Parts of the network, from pictures to (N, D) features of N views.
    """

    def __init__(self, encode: nn.Module, parts: nn.Module) -> None:
        super().__init__()
        self.encode, self.parts = encode, parts

    def forward(self, views: Tensor) -> Tensor:
        """Describe N views, (N, S, S) uint8 with S pixels a side: (N, D + 13) float."""
        features = self.parts(self.encode(views))
        return torch.cat([features, outline(views).to(features.dtype)], dim=1)


def outline(views: Tensor) -> Tensor:
    """Measure the outlines of N views.

    Args:
        views: (N, S, S) uint8, grey pictures with white background.

    Returns:
        (N, 13) float: height of the centroid within the outline; width of its base, of its head, and their difference
        relative to their sum; how far the picture, and the outline, differ from their mirror images, and the picture
        from itself upside down; area, height, width, and height relative to width; height of the centroid of the
        outline in the picture, and the same weighted by brightness.
    """
    picture = nn.functional.adaptive_avg_pool2d(views.float()[:, None] / 255, _GRID)[:, 0]
    covered = (picture < 1 - 1e-3).float()
    y = torch.linspace(1, -1, _GRID, device=views.device)
    rows, columns = covered.mean(dim=2), covered.mean(dim=1)
    height, bottom = _extent(rows, y)
    width, _ = _extent(columns, y)
    area = rows.mean(dim=1) + 1e-6
    centroid = (rows * y).sum(dim=1) / (rows.sum(dim=1) + 1e-6)
    place = (y - bottom[:, None]) / height[:, None]  # of each row: 0 at the bottom of the outline, 1 at its top
    base, head = (_mean_width(rows, ends) for ends in (place <= _END, place >= 1 - _END))
    ink = (1 - picture).sum(dim=(1, 2)) + 1e-6
    return torch.stack(
        [
            (centroid - bottom) / height,
            base,
            head,
            (base - head) / (base + head + 1e-6),
            (picture - picture.flip(2)).abs().sum(dim=(1, 2)) / ink,
            (covered - covered.flip(2)).abs().mean(dim=(1, 2)) / area,
            (picture - picture.flip(1)).abs().sum(dim=(1, 2)) / ink,
            area,
            height,
            width,
            height / width,
            centroid,
            (picture * covered * y[:, None]).mean(dim=(1, 2)) / area,
        ],
        dim=1,
    )


def _extent(covered: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return size and lower end of outlines along an axis, both (N,), from the covered share of each row (N, 56)."""
    inside = covered > 0
    upper = torch.where(inside, y, -1.0).amax(dim=1)
    lower = torch.where(inside, y, 1.0).amin(dim=1)
    return (upper - lower).clamp(min=1e-2), lower


def _mean_width(rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean covered share (N,) of the chosen rows that the outline covers, from that of each row (N, 56)."""
    used = (chosen & (rows > 0)).float()
    return (rows * used).sum(dim=1) / (used.sum(dim=1) + 1e-6)


def average_poses(described: Tensor, order: Tensor) -> Tensor:
    """Average the numbers of the four views of each pose.

    Args:
        described: (B, 24, D), D numbers for each view of B shapes.
        order: (24,) int64, numbers of the views, those of one pose after those of another.

    Returns:
        (B, 6, D), the averages of the poses.
    """
    return described[:, order].reshape(len(described), POSES, VIEWS // POSES, -1).mean(dim=2)


def prepare(poses: Tensor) -> Tensor:
    """Return the signed square roots of D features of N poses (..., N, D), scaled to unit length."""
    return nn.functional.normalize(poses.sign() * (poses.abs() + 1e-12).sqrt(), dim=-1)


def relative(outlines: Tensor, spread: Tensor) -> Tensor:
    """Return measures (..., 6, 13) minus their mean over the poses, in units of ``spread`` (13,), and clipped."""
    return ((outlines - outlines.mean(dim=-2, keepdim=True)) / spread).clamp(-_LARGEST, _LARGEST)


def pool_upright(network: ShapeNetwork) -> None:
    """Let a network pool its views by :class:`UprightPooling` with the shipped scorer.

    Args:
        network: Network of views, built with EfficientNet-Lite1 and pooling at the end.
    """
    outlined = Outlined(network.encode, nn.Sequential(*network.parts.values()))
    network.encode, network.parts = nn.Identity(), nn.ModuleDict({"outlined": outlined})
    network.pooling = upright_pooling()


def upright_pooling() -> UprightPooling:
    """Return the pooling with the shipped scorer, for 24 views and the features of EfficientNet-Lite1."""
    from safetensors.torch import load

    arrays = load(resources.files("shapecnn.networks").joinpath("upright.safetensors").read_bytes())
    return UprightPooling(**arrays)
