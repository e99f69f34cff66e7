"""Rungs of the ladder: each system of the lecture, with its idea, its input and its training config."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shapecnn.errors import UsageError
from shapecnn.ladder.inputs import InputName

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
        filters: Whether the network has filters of its own: not if it has the pretrained weights of an earlier rung.
        below: Name of the rung that this one is compared with, and what is different, as text; None for no comparison.
    """

    name: str
    title: str
    idea: str
    input: InputName
    model: str | None = None
    trained_as: str | None = None
    feature: Feature = "penultimate"
    filters: bool = True
    below: tuple[str, str] | None = None

    @property
    def run(self) -> str | None:
        """Name of the trained network: of its folder, and of its config in ``configs/ladder``; None if untrained."""
        return None if self.model else self.trained_as or self.name


RUNGS: tuple[Rung, ...] = (
    Rung(
        "regression",
        "Linear regression of the surface area",
        "The output is not a class but a number: the area of the surface of the shape, scaled to radius 1. It is a "
        "weighted sum of all voxels. With 27,000 voxels and few shapes, the squared error alone would fall to 0 on the "
        "training shapes; gradient descent therefore minimizes the squared error plus an L2 penalty.",
        "grids",
    ),
    Rung(
        "logistic-grids",
        "Logistic regression on voxels",
        "Each class has a weighted sum of all voxels, its logit, and softmax turns the logits into probabilities. The "
        "weights maximize the probability of the training labels, with an L2 penalty on large weights. A part of a "
        "shape that has moved fills other voxels, meets other weights, and is not recognized.",
        "grids",
    ),
    Rung(
        "logistic-views",
        "Logistic regression on pixels",
        "The logit of a class is a weighted sum of the pixels of a view, and the logits of all views are averaged. "
        "Gradient descent finds the weights, one batch of views at a time. Each class has only one template, which "
        "must fit the pictures from all sides.",
        "views",
        below=("logistic-grids", "pixels of views in place of voxels"),
    ),
    Rung(
        "logistic-sph",
        "Spherical harmonics + logistic regression",
        "This is the traditional pipeline: an engineered descriptor, and a classifier that is trained on it. The "
        "descriptor, the energy of spherical harmonics, hardly changes when the shape is rotated. Retrieval compares "
        "the descriptors themselves, so its curve is the same as without the classifier.",
        "grids64",
        below=("logistic-grids", "an engineered descriptor in place of voxels"),
    ),
    Rung(
        "logistic-fisher",
        "Fisher vectors + logistic regression",
        "SIFT describes small patches of the views, and a Fisher vector collects the patches of all views in one "
        "vector. The logistic regression learns which patches speak for which class. Retrieval compares the Fisher "
        "vectors themselves, so its curve is the same as without the classifier.",
        "views",
        below=("logistic-views", "an engineered descriptor in place of pixels"),
    ),
    Rung(
        "mlp",
        "Multilayer perceptron, one hidden layer",
        "Hidden units are learned features: each is a weighted sum of the voxels, followed by a nonlinearity. The "
        "classifier works on the hidden units instead of the voxels. Backpropagation computes the gradient of all "
        "weights with the chain rule, layer by layer from the output to the input.",
        "grids",
        below=("logistic-grids", "hidden units between the voxels and the classifier"),
    ),
    Rung(
        "mlp-deep",
        "Multilayer perceptron, two hidden layers",
        "A second hidden layer combines features to more complex features. Each unit is connected to all units of "
        "the layer before, so the number of weights is very large. With few training shapes such a network easily "
        "learns its training data by heart; dropout and an L2 penalty restrain it.",
        "grids",
        below=("mlp", "a second hidden layer, wider layers, rectified linear units and Adagrad"),
    ),
    Rung(
        "local",
        "Locally connected network",
        "Each unit sees only a small window of the picture, not the whole picture. This removes most of the weights "
        "of a fully connected layer. But each window has filters of its own, so what is learned in one place is not "
        "known in another.",
        "views",
        below=("logistic-views", "hidden layers that see small windows"),
    ),
    Rung(
        "lenet",
        "LeNet",
        "A convolution applies the same small filters at all places of the picture. Pooling between the "
        "convolutions makes the features coarser and tolerant to small shifts. The network looks at single views, "
        "and the logits of the views are averaged.",
        "views",
        below=("local", "the same but for shared filters"),
    ),
    Rung(
        "lenet-pooled",
        "LeNet with view pooling",
        "The same network, but the views of a shape are combined inside it: the strongest response over all views "
        "is passed on. The layers after this view pooling see the whole shape at once. All layers are trained "
        "together, with whole shapes as examples.",
        "views",
        below=("lenet", "the same layers, with view pooling inside; twice as many epochs over fewer, larger examples"),
    ),
    Rung(
        "alexnet",
        "AlexNet from scratch",
        "Like LeNet with more layers and filters, with rectified linear units, which do not saturate for positive "
        "inputs, and with dropout against overfitting. Such a network won the ImageNet competition of 2012 with 1.2 "
        "million photographs; this is torchvision's later variant with one column. Here it learns from views of 64 "
        "pixels of the training shapes alone, which are far too few for its 57 million weights.",
        "views",
        below=("lenet", "more layers and filters; larger views"),
    ),
    Rung(
        "single-view",
        "Pretrained CNN, single views",
        "The network was trained on a million photographs before, and its last layers are fine-tuned on views of "
        "shapes. Edges, textures and parts that it knows from photographs help it to recognize rendered shapes. The "
        "logits of the views are averaged.",
        "views",
        below=("alexnet", "a more recent network, and weights learned from photographs"),
    ),
    Rung(
        "mvcnn-frozen",
        "MVCNN, frozen, 12 views",
        "The pretrained network describes each view, and view pooling combines the descriptions of a shape into "
        "one; the network itself is not changed at all. From the training shapes and their labels, linear "
        "discriminant analysis (LDA) computes the classifier, and the coordinates that retrieval compares. These "
        "coordinates alone raise mAP, so the figures show more than what the network knows from photographs.",
        "views",
        below=("single-view", "view pooling and LDA, but no fine-tuning"),
    ),
    Rung(
        "mvcnn",
        "MVCNN, fine-tuned, 12 views",
        "The last layers of the pretrained network are trained further, through the view pooling, with whole shapes "
        "as examples. The network learns which details distinguish shapes; of each feature, the view with the "
        "strongest response counts. LDA then computes the classifier, as in the frozen network (Su et al. 2015, here "
        "with a smaller, more recent backbone).",
        "views",
        below=("mvcnn-frozen", "fine-tuned layers; without the maps of an earlier layer"),
    ),
    Rung(
        "mvcnn-metric",
        "MVCNN, fine-tuned, 12 views + metric",
        "The network is the fine-tuned one of the rung before. On its features a projection is learned, after which "
        "shapes of one class are close together and shapes of different classes far apart. It is meant for retrieval "
        "and leaves classification unchanged; after LDA there is little left to gain.",
        "views",
        below=("mvcnn", "the same network with a learned metric"),
        trained_as="mvcnn",
        feature="metric",
    ),
    Rung(
        "mvcnn-20",
        "MVCNN, frozen, 20 views",
        "Twenty cameras stand at the corners of a dodecahedron, so that the shape is seen from all sides, also from "
        "below. The up axis of the shape still points up in each picture. Where it is known, twelve views from "
        "slightly above can be as good.",
        "views20",
        filters=False,
        below=("mvcnn-frozen", "20 views from all sides in place of 12 from slightly above"),
    ),
    Rung(
        "mvcnn-80",
        "MVCNN, frozen, 80 views",
        "Each of the twenty cameras takes four pictures, turned by a quarter turn each. The features then depend less "
        "on how the shape is turned: this is the set-up of Su et al. (2015) for shapes without a known up axis. It "
        "costs almost seven times as much as twelve views.",
        "views80",
        filters=False,
        below=("mvcnn-20", "each view in four turns"),
    ),
    Rung(
        "shapenets",
        "3D ShapeNets, from scratch",
        "Filters of voxels take the place of filters of pixels: the network looks at the volume itself, not at "
        "pictures of it. Its weights are learned from the grids of the training shapes alone. Each shape is shown "
        "in twelve rotations about its up axis (Wu et al. 2015).",
        "grids12",
        below=("mlp-deep", "shared filters of voxels; twelve rotations of each shape"),
    ),
    Rung(
        "shapenets-pretrained",
        "3D ShapeNets, pre-trained layer by layer",
        "Before any label is used, contrastive divergence trains each layer below the classifier as a restricted "
        "Boltzmann machine, which makes the training shapes probable, so that a layer can reconstruct its input. The "
        "network then starts from these filters instead of random ones. Wu et al. (2015) also began layer by layer, "
        "but with labels in the top layer and a generative fine-tuning; these, and the completion of shapes, are not "
        "part of shapecnn.",
        "grids12",
        below=("shapenets", "pre-trained layers, with sigmoid units and without batch normalization"),
    ),
    Rung(
        "sph",
        "Spherical harmonics (SPH)",
        "Concentric spheres cut through the shape, and the pattern on each sphere is split into waves of different "
        "frequency. Only the energy of each frequency is kept, which changes by no more than the rounding to cells "
        "when the shape is rotated. Nothing is learned (Kazhdan et al. 2003).",
        "grids64",
        model="@sph",
    ),
    Rung(
        "lfd",
        "Light field descriptor (LFD)",
        "A hundred silhouettes from all sides are described by Zernike moments and by the Fourier coefficients of "
        "their outlines. To compare two shapes, their silhouettes are aligned in 6,000 ways, and the best alignment "
        "counts. Nothing is learned (Chen et al. 2003).",
        "silhouettes",
        model="@lfd",
        below=("sph", "pictures in place of the volume"),
    ),
    Rung(
        "fisher",
        "Fisher vectors (FV)",
        "SIFT describes small patches of the views by the directions of their edges. A Fisher vector collects how "
        "the patches of a shape differ from a mixture of typical patches, which was fitted to generated shapes. "
        "Nothing is learned from labels (a baseline of Su et al. 2015).",
        "views",
        model="@fisher",
        below=("lfd", "patches of shaded views in place of silhouettes"),
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
