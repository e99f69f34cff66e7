"""Rungs of the ladder: each system of the lecture, with its idea, its input and its training config."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shapecnn.errors import UsageError
from shapecnn.models.descriptors import LfdSettings, SphSettings
from shapecnn.settings.views_and_grids import Up, ViewSettings, VoxelSettings

InputName = Literal["views", "views20", "views80", "grids", "grids12", "grids64", "silhouettes"]
Feature = Literal["penultimate", "metric"]


@dataclass(frozen=True, slots=True)
class Rung:
    """One system of the ladder.

    Attributes:
        name: Short name, as in ``--rung`` and in the names of configs and folders.
        title: Name of the system for tables and plots.
        idea: Idea of the system, in three sentences.
        input: Views or grids that the system reads; see :func:`input_settings`.
        model: Model that needs no training, such as ``@sph``; None for a network that is trained.
        trained_as: Name of the rung whose network is used; None for the own name.
        feature: Feature that retrieval compares: ``penultimate`` or ``metric``.
    """

    name: str
    title: str
    idea: str
    input: InputName
    model: str | None = None
    trained_as: str | None = None
    feature: Feature = "penultimate"

    @property
    def run(self) -> str | None:
        """Name of the trained network: of its folder, and of its config in ``configs/ladder``; None if untrained."""
        return None if self.model else self.trained_as or self.name


def input_settings(name: InputName, up: Up) -> ViewSettings | VoxelSettings:
    """Return the settings of the views or grids that a rung reads.

    Args:
        name: Name of the views or grids.
        up: Axis that points up in the meshes.
    """
    match name:
        case "views":
            return ViewSettings(up=up)
        case "views20":
            return ViewSettings(views=20, up=up)
        case "views80":
            return ViewSettings(views=80, up=up)
        case "grids":
            return VoxelSettings(up=up)
        case "grids12":
            return VoxelSettings(rotations=12, up=up)
        case "grids64":
            return SphSettings().input_settings(up)
        case "silhouettes":
            return LfdSettings().input_settings(up)


RUNGS: tuple[Rung, ...] = (
    Rung(
        "regression",
        "Linear regression of the surface area",
        "The output is not a class but a number: the area of the surface of the shape, scaled to radius 1. It is a "
        "weighted sum of all voxels, and gradient descent makes the squared error as small as possible. Its features "
        "are the voxels themselves, as in the next rung, so both retrieve the same shapes.",
        "grids",
    ),
    Rung(
        "logistic-grids",
        "Logistic regression on voxels",
        "The score of a class is a weighted sum of all voxels of the shape. The weights maximize the probability of "
        "the training labels, with a penalty on large weights. A voxel always means the same, wherever the part of "
        "the shape lies that fills it: the classifier cannot recognize a part that has moved.",
        "grids",
    ),
    Rung(
        "logistic-views",
        "Logistic regression on pixels",
        "The score of a class is a weighted sum of the pixels of a view, and the scores of all views are averaged. "
        "Gradient descent finds the weights one batch of views at a time. As with voxels, there is one template for "
        "each class, which must fit the whole picture.",
        "views",
    ),
    Rung(
        "logistic-sph",
        "Spherical harmonics + logistic regression",
        "This is the traditional pipeline: an engineered descriptor, and a classifier that is trained on it. The "
        "descriptor, the energy of spherical harmonics, does not change when the shape is rotated. Retrieval "
        "compares the descriptors themselves, so its curve is the same as without the classifier.",
        "grids64",
    ),
    Rung(
        "logistic-fisher",
        "Fisher vectors + logistic regression",
        "SIFT describes small patches of the views, and a Fisher vector collects the patches of all views in one "
        "vector. The logistic regression learns which patches speak for which class. Retrieval compares the Fisher "
        "vectors themselves, so its curve is the same as without the classifier.",
        "views",
    ),
    Rung(
        "mlp",
        "Multilayer perceptron, one hidden layer",
        "Hidden units are learned features: each is a weighted sum of the voxels, followed by a nonlinearity. The "
        "classifier works on the hidden units instead of the voxels. Backpropagation computes the gradient of all "
        "weights with the chain rule, layer by layer from the output to the input.",
        "grids",
    ),
    Rung(
        "mlp-deep",
        "Multilayer perceptron, two hidden layers",
        "A second hidden layer combines features to more complex features. Each unit is connected to all units of "
        "the layer before, so the number of weights is very large. With few training shapes such a network learns "
        "its training data by heart, unless dropout and an L2 penalty restrain it.",
        "grids",
    ),
    Rung(
        "local",
        "Locally connected network",
        "Each unit sees only a small window of the picture, not the whole picture. This removes most of the weights "
        "of a fully connected layer. But each window has filters of its own, so what is learned in one place is not "
        "known in another.",
        "views",
    ),
    Rung(
        "lenet",
        "LeNet",
        "A convolution applies the same small filters at all places of the picture. Pooling between the "
        "convolutions makes the features coarser and tolerant to small shifts. The network looks at single views, "
        "and the scores of the views are averaged.",
        "views",
    ),
    Rung(
        "lenet-pooled",
        "LeNet with view pooling",
        "The same network, but the views of a shape are combined inside it: the strongest response over all views "
        "is passed on. The layers after this view pooling see the whole shape at once. All layers are trained "
        "together, with whole shapes as examples.",
        "views",
    ),
    Rung(
        "alexnet",
        "AlexNet from scratch",
        "More layers and more filters, with rectified linear units, which do not saturate, and dropout against "
        "overfitting. On a million photographs this network won the ImageNet competition of 2012. Here it learns "
        "from the training shapes alone: its 57 million weights are far more than a few thousand shapes determine.",
        "views",
    ),
    Rung(
        "single-view",
        "Pretrained CNN, single views",
        "The network was trained on a million photographs before, and its last layers are fine-tuned on views of "
        "shapes. Edges, textures and parts that it knows from photographs help it to recognize rendered shapes. The "
        "scores of the views are averaged.",
        "views",
    ),
    Rung(
        "mvcnn-frozen",
        "MVCNN, frozen, 12 views",
        "The pretrained network describes each view, and view pooling combines the descriptions of a shape into "
        "one. The network itself is not changed at all. Only the classifier is computed from the training shapes, "
        "by linear discriminant analysis.",
        "views",
    ),
    Rung(
        "mvcnn",
        "MVCNN, fine-tuned, 12 views",
        "The last layers of the pretrained network are trained further, through the view pooling, with whole shapes "
        "as examples. The network learns which details distinguish shapes, and in which views to look for them. "
        "This is the multi-view network of Su et al. (2015) with a smaller, more recent backbone.",
        "views",
    ),
    Rung(
        "mvcnn-metric",
        "MVCNN, fine-tuned, 12 views + metric",
        "The network is the fine-tuned one of the rung before. On its features a projection is learned, after which "
        "shapes of one class are close together and shapes of different classes far apart. This helps retrieval and "
        "leaves classification as it was.",
        "views",
        trained_as="mvcnn",
        feature="metric",
    ),
    Rung(
        "mvcnn-20",
        "MVCNN, frozen, 20 views",
        "Twenty cameras stand at the corners of a dodecahedron, so that the shape is seen from all sides, also from "
        "below. No direction is special: the up axis of the shape need not be known. Where it is known, "
        "twelve views from slightly above can be as good.",
        "views20",
    ),
    Rung(
        "mvcnn-80",
        "MVCNN, frozen, 80 views",
        "Each of the twenty cameras takes four pictures, turned by a quarter turn each. The features then hardly "
        "depend on how the shape is turned. It costs seven times as much as twelve views.",
        "views80",
    ),
    Rung(
        "shapenets",
        "3D ShapeNets, from scratch",
        "Filters of voxels take the place of filters of pixels: the network looks at the volume itself, not at "
        "pictures of it. Its weights are learned from the grids of the training shapes alone. Each shape is shown "
        "in twelve rotations about its up axis.",
        "grids12",
    ),
    Rung(
        "shapenets-pretrained",
        "3D ShapeNets, pre-trained layer by layer",
        "Before any label is used, each layer learns to reconstruct its own input: it is trained as a restricted "
        "Boltzmann machine, by contrastive divergence. The network then starts from these filters instead of random "
        "ones. This is how Wu et al. (2015) trained it; their generative completion of shapes is not part of "
        "shapecnn.",
        "grids12",
    ),
    Rung(
        "sph",
        "Spherical harmonics (SPH)",
        "Concentric spheres cut through the shape, and the pattern on each sphere is split into waves of different "
        "frequency. Only the energy of each frequency is kept, which does not change when the shape is rotated. "
        "Nothing is learned (Kazhdan et al. 2003).",
        "grids64",
        model="@sph",
    ),
    Rung(
        "lfd",
        "Light field descriptor (LFD)",
        "A hundred silhouettes from all sides are described by Zernike moments and by the Fourier coefficients of "
        "their outlines. To compare two shapes, their silhouettes are aligned in all possible ways, and the best "
        "alignment counts. Nothing is learned (Chen et al. 2003).",
        "silhouettes",
        model="@lfd",
    ),
    Rung(
        "fisher",
        "Fisher vectors (FV)",
        "SIFT describes small patches of the views by the directions of their edges. A Fisher vector collects how "
        "the patches of a shape differ from those of an average shape. Nothing is learned from the labels (the "
        "baseline of Su et al. 2015).",
        "views",
        model="@fisher",
    ),
)
"""All rungs, from the lowest to the highest, followed by the engineered descriptors."""


def choose_rungs(names: Sequence[str]) -> tuple[Rung, ...]:
    """Return rungs by name, in the order of the ladder.

    Args:
        names: Names of rungs; empty for all rungs.

    Raises:
        UsageError: There is no rung of a name.
    """
    known = {rung.name: rung for rung in RUNGS}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or list(known)
            raise UsageError(f"There is no rung {name!r}. Use one of: {', '.join(close)}.")
    return tuple(rung for rung in RUNGS if not names or rung.name in names)
