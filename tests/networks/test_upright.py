"""Upright pooling: which view shows which pose, weights by the scorer, and what the shipped scorer prefers."""

from __future__ import annotations

import hashlib
from importlib import resources

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
from shapecnn.networks.upright import MEASURES, UprightPooling, average_poses, outline, upright_pooling
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
    features, outlines, direction = torch.rand(2, 24, 5), torch.rand(2, 24, MEASURES), torch.randn(5)
    poses, wanted, spread = torch.arange(24) % 6, torch.randn(MEASURES), torch.full((MEASURES,), 0.1)
    found = UprightPooling(direction, wanted, spread, poses)(torch.cat([features, outlines], dim=2))
    means = [features[:, poses == pose].mean(dim=1) for pose in range(6)]
    measures = torch.stack([outlines[:, poses == pose].mean(dim=1) for pose in range(6)], dim=1)
    measures = ((measures - measures.mean(dim=1, keepdim=True)) / spread).clip(-3, 3) @ wanted
    scores = [(mean.sqrt() / mean.sqrt().norm(dim=1, keepdim=True)) @ direction for mean in means]
    weights = (torch.stack(scores, dim=1) + measures).softmax(dim=1)
    expected = sum(weights[:, pose, None] * means[pose] for pose in range(6))
    torch.testing.assert_close(found, expected)


def test_an_outline_is_measured_with_its_bottom_at_the_bottom() -> None:
    """A grey triangle, half as wide as high, that stands on a side, and the same upside down."""
    rows, columns = np.mgrid[:224, :224]
    inside = (rows >= 56) & (rows < 168) & (abs(columns - 111.5) < (rows - 56) / 4)
    triangle = np.where(inside, 128, 255).astype(np.uint8)
    standing, hanging = outline(torch.from_numpy(np.stack([triangle, triangle[::-1]]))).numpy()
    low, base, head, taper, mirror, mirrored_outline, upside_down, area, height, width, ratio, centroid, light = (
        standing
    )
    assert low == pytest.approx(1 / 3, abs=0.03)  # the centroid of a triangle
    assert base == pytest.approx(0.25 * 0.93, abs=0.03)
    assert head == pytest.approx(0.25 * 0.08, abs=0.03)
    assert taper == pytest.approx((base - head) / (base + head), abs=1e-5)
    assert (mirror, mirrored_outline) == pytest.approx((0, 0), abs=0.02)
    assert upside_down > 0.3
    assert area == pytest.approx(1 / 16, abs=0.015)
    assert (height, width) == pytest.approx((1, 0.5), abs=0.06)
    assert ratio == pytest.approx(height / width, abs=1e-5)
    assert centroid == pytest.approx(-1 / 6, abs=0.03)
    assert light == pytest.approx(128 / 255 * centroid, abs=0.03)
    assert hanging[0] == pytest.approx(2 / 3, abs=0.03)
    assert tuple(hanging[1:4]) == pytest.approx((head, base, -taper), abs=1e-5)


def test_a_picture_without_a_shape_has_an_outline_of_numbers() -> None:
    assert np.isfinite(outline(torch.full((1, 64, 64), 255, dtype=torch.uint8)).numpy()).all()


@pytest.mark.parametrize("views", [1, 12])
def test_any_other_number_of_views_is_averaged(views: int) -> None:
    features = torch.rand(3, views, 1280 + MEASURES)
    torch.testing.assert_close(upright_pooling()(features), features[..., :-MEASURES].mean(dim=1))


def described(mesh: Mesh, model: UntrainedModel) -> tuple[Tensor, Tensor]:
    """Features and outlines of the views, (24, D + 13), and the feature of the shape, (D,)."""
    engine, views = open_engine(model, "cpu", views=True), render_views(mesh, model.settings.input_settings())
    engine.start(0, views)
    engine.wait()
    ((_, output),) = engine.finished()
    assert output.views is not None
    outlines = outline(torch.from_numpy(views))
    return torch.cat([torch.from_numpy(output.views), outlines], dim=1), torch.from_numpy(output.feature)


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
        found, feature = described(mesh, model)
        shares = pooling.scores(average_poses(found[None], pooling.order))[0].softmax(dim=0)
        weights.append(float(shares[int((ends @ canonical_axes(mesh) @ rotation[:, 2]).argmax())]))
        torch.testing.assert_close(feature, pooling(found[None])[0], rtol=0.1, atol=0.02)  # by another engine
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


def test_a_new_scorer_has_a_new_version() -> None:
    """Converted networks are kept under the version, and indexes record it: raise it when another scorer is fitted."""
    model = UntrainedModel.of(orientation="auto")
    scorer = resources.files("shapecnn.networks").joinpath("upright.safetensors").read_bytes()
    assert isinstance(model.settings, ImagenetSettings)
    known = {2: "25f17c70a1094905c08c1a3bc947a5d7739eb3f9b0b711631a618442e88d2b35"}
    assert known.get(model.settings.scorer or 0) == hashlib.sha256(scorer).hexdigest()
    assert model.network.identity.endswith("upright 2")


@pytest.mark.parametrize("wrong", [{"orientation": "auto", "scorer": None}, {"scorer": 2}])
def test_nobody_sets_the_version(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="scorer is a version number"):
        ImagenetSettings.from_options(**wrong)
