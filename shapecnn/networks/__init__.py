"""Networks: PyTorch modules from batches of pictures or grids to features and class scores; no files, no meshes.

In: uint8 tensors, (shapes, views, S, S) or (shapes, rotations, R, R, R), and network settings. Out: features, logits.
:mod:`registry` builds a network from its settings, :mod:`network` has the form that all share: parts, pooling, head.
:mod:`mvcnn` and :mod:`volumetric` are the networks, :mod:`backbones` the pretrained picture networks,
:mod:`discriminant` the closed-form classifier, :mod:`weights` and :mod:`servers` know where ImageNet weights come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.networks.discriminant import Discriminant as Discriminant
    from shapecnn.networks.discriminant import analyse as analyse
    from shapecnn.networks.network import FeaturesAlone as FeaturesAlone
    from shapecnn.networks.network import ShapeNetwork as ShapeNetwork
    from shapecnn.networks.registry import build_network as build_network
    from shapecnn.networks.registry import fetch_weights as fetch_weights
    from shapecnn.networks.registry import require_shapes as require_shapes
    from shapecnn.networks.registry import takes as takes
    from shapecnn.networks.weights import weights_version as weights_version

_HOMES = {
    "discriminant": ["Discriminant", "analyse"],
    "network": ["FeaturesAlone", "ShapeNetwork"],
    "registry": ["build_network", "fetch_weights", "require_shapes", "takes"],
    "weights": ["weights_version"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
