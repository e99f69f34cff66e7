"""Upright pooling: of 24 views along a shape's own axes, those count most in which the shape looks upright.

The own axes of a mesh (:mod:`shapecnn.meshes.orientation`) do not tell which of their six ends is up. The 24 views show
the shape with each end up, four times each. A linear scorer compares the six poses by the features of an image network:
a chair on its legs looks different from a chair on its side. It was trained on generated shapes, whose up axis is
known (``scripts/upright.py``).
"""

from __future__ import annotations

from importlib import resources

from torch import Tensor, nn

VIEWS = 24
POSES = 6


class UprightPooling(nn.Module):
    """View pooling: the mean over the views, weighted by how upright the shape looks in them.

    The features of the four views of a pose are averaged. The score of a pose is the inner product of ``direction`` and
    the signed square roots of these D features, scaled to unit length. The softmax of the six scores weights the poses.
    Any other number of views is averaged without weights.

    Args:
        direction: (D,) float, the linear scorer.
        poses: (24,) int64, number of the pose that each view shows, from 0 to 5.
    """

    def __init__(self, direction: Tensor, poses: Tensor) -> None:
        super().__init__()
        self.register_buffer("direction", direction, persistent=False)
        self.register_buffer("order", poses.argsort(stable=True), persistent=False)
        self.direction: Tensor
        self.order: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Combine D features of each of V views of B shapes, (B, V, D), into D features of each shape, (B, D)."""
        if features.shape[1] != VIEWS:
            return features.mean(dim=1)
        poses = average_poses(features, self.order)
        weights = (prepare(poses) @ self.direction).softmax(dim=1)
        pooled: Tensor = (weights[:, :, None] * poses).sum(dim=1)
        return pooled


def average_poses(features: Tensor, order: Tensor) -> Tensor:
    """Average D features of the four views of each pose.

    Args:
        features: (B, 24, D), features of the views of B shapes.
        order: (24,) int64, numbers of the views, those of one pose after those of another.

    Returns:
        (B, 6, D), features of the poses.
    """
    return features[:, order].reshape(len(features), POSES, VIEWS // POSES, -1).mean(dim=2)


def prepare(poses: Tensor) -> Tensor:
    """Return the signed square roots of D features of N poses (..., N, D), scaled to unit length."""
    return nn.functional.normalize(poses.sign() * (poses.abs() + 1e-12).sqrt(), dim=-1)


def upright_pooling() -> UprightPooling:
    """Return the pooling with the shipped scorer, for 24 views and the features of EfficientNet-Lite1."""
    from safetensors.torch import load

    arrays = load(resources.files("shapecnn.networks").joinpath("upright.safetensors").read_bytes())
    return UprightPooling(arrays["direction"], arrays["poses"])
