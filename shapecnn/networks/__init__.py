"""Neural networks: PyTorch modules that compute features and class logits from batches of views or voxel grids.

Inputs are uint8 tensors: views (shapes, views, S, S) of S pixels a side, or grids (shapes, rotations, R, R, R) of R
cells a side. Networks never read mesh files.
:mod:`registry` builds a network from its settings. :mod:`network` has their base class.
:mod:`mvcnn` and :mod:`volumetric` define the architectures; :mod:`perceptron` and :mod:`lenet` are the small networks.
:mod:`pooling` and :mod:`adapter` combine the views of a shape.
:mod:`local`, :mod:`smoothing`, :mod:`pixels` and :mod:`initialization` have their layers and initial weights.
:mod:`descriptor` has an engineered descriptor in place of a network. :mod:`discriminant` is the closed-form classifier.
:mod:`backbones` loads pretrained image networks, and :mod:`transformers` splits those that are vision transformers.
:mod:`choices` has their short names. :mod:`weights`, :mod:`servers` and :mod:`state_files` locate and read the weights.
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
    from shapecnn.networks.registry import fitting_state as fitting_state
    from shapecnn.networks.weights import weights_version as weights_version

_HOMES = {
    "discriminant": ["Discriminant", "analyse"],
    "network": ["FeaturesAlone", "ShapeNetwork"],
    "registry": ["build_network", "fetch_weights", "fitting_state"],
    "weights": ["weights_version"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
