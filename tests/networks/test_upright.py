"""Upright pooling: which view shows which pose, weights by the scorer, and what the shipped scorer prefers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import Mesh, normalize
from shapecnn.meshes.orientation import canonical_axes
from shapecnn.models.engine import open_engine
from shapecnn.models.imagenet import ImagenetSettings
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.upright import UprightPooling, prepare, upright_pooling
from shapecnn.sources.shapes import make_shape
from shapecnn.views import render_views
from shapecnn.views.cameras import cube_rotations


def test_the_shipped_poses_are_those_of_the_cameras() -> None:
    """Views 4 k to 4 k + 3, in the shipped order, show the same end of the axes as up."""
    ups = cube_rotations()[:, :, 2].round()[upright_pooling().order.numpy()].reshape(6, 4, 3)
    assert (ups == ups[:, :1]).all()
    assert len(np.unique(ups[:, 0], axis=0)) == 6


def test_poses_are_weighted_by_the_softmax_of_their_scores() -> None:
    torch.manual_seed(0)
    features, direction = torch.rand(2, 24, 5), torch.randn(5)
    poses = torch.arange(24) % 6
    found = UprightPooling(direction, poses)(features)
    means = [features[:, poses == pose].mean(dim=1) for pose in range(6)]
    scores = [(mean.sqrt() / mean.sqrt().norm(dim=1, keepdim=True)) @ direction for mean in means]
    weights = torch.stack(scores, dim=1).softmax(dim=1)
    expected = sum(weights[:, pose, None] * means[pose] for pose in range(6))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("views", [1, 12])
def test_any_other_number_of_views_is_averaged(views: int) -> None:
    features = torch.rand(3, views, 1280)
    torch.testing.assert_close(upright_pooling()(features), features.mean(dim=1))


def described(mesh: Mesh, model: UntrainedModel) -> Tensor:
    """The features of the views and of the shape, one after the other: (25, D)."""
    engine = open_engine(model, "cpu", views=True)
    engine.start(0, render_views(mesh, model.settings.input_settings()))
    engine.wait()
    ((_, output),) = engine.finished()
    assert output.views is not None
    return torch.from_numpy(np.concatenate([output.views, output.feature[None]]))


def test_the_shipped_scorer_prefers_shapes_that_stand() -> None:
    """Generated shapes that it was not fitted to, turned at random: on average, the true pose has much weight."""
    model, pooling = UntrainedModel.of(orientation="auto"), upright_pooling()
    assert model.settings.pooling == "upright"  # type: ignore[union-attr]
    ends = cube_rotations()[:, :, 2].round()[pooling.order[::4].numpy()]
    weights = []
    for seed, label in enumerate(("chair", "table", "car", "mug", "airplane", "stool")):
        rotation = Rotation.random(random_state=seed).as_matrix()
        mesh = make_shape(label, 90_000 + seed)
        mesh = normalize(Mesh(mesh.vertices @ rotation.T, mesh.faces))
        found = described(mesh, model)
        poses = found[pooling.order].reshape(6, 4, -1).mean(dim=1)
        shares = (prepare(poses) @ pooling.direction).softmax(dim=0)
        weights.append(float(shares[int((ends @ canonical_axes(mesh) @ rotation[:, 2]).argmax())]))
        torch.testing.assert_close(found[24], pooling(found[None, :24])[0], rtol=0.1, atol=0.02)  # by another engine
    assert np.mean(weights) > 0.4


def test_it_is_the_default_where_it_fits_and_refused_elsewhere() -> None:
    assert ImagenetSettings().pooling == "mean"
    assert ImagenetSettings(orientation="auto").pooling == "upright"
    assert ImagenetSettings(orientation="auto", pooling="max").pooling == "max"
    assert ImagenetSettings(orientation="auto", views=20).pooling == "mean"
    assert ImagenetSettings(orientation="auto", backbone="tf_efficientnet_lite0").pooling == "mean"
    for wrong in ({}, {"orientation": "auto", "views": 20}, {"orientation": "auto", "backbone": "dinov2-s"}):
        with pytest.raises(UsageError, match="pooling upright needs orientation auto, 24 views"):
            ImagenetSettings.from_options(pooling="upright", **wrong)
