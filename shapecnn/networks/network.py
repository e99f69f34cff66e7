"""Base class of all networks: layers for each view or grid rotation, pooling over the views, and a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shapecnn.networks.discriminant import Discriminant
from shapecnn.networks.pooling import Pooling, pool_views
from shapecnn.settings.networks import DescriptorName, InputKind

Part = tuple[str, nn.Module]


class Profile(NamedTuple):
    """What may replace the last parts of a network when its classifier is computed in closed form.

    Attributes:
        module: Module that computes features from the input of the first part that it replaces.
        blocks: Sizes of the feature vectors that the module concatenates.
        replaces: Number of parts that it replaces.
    """

    module: nn.Module
    blocks: tuple[int, ...]
    replaces: int


class ShapeNetwork(nn.Module):
    """Network that computes class logits and features of a shape from any number of views, or of rotations of a grid.

    In the tensor shapes below, B is the number of shapes in a batch, V the number of views or rotations, C the number
    of classes, and D the number of features.

    Args:
        encode: Module that converts uint8 views or grids to the float input of the first part.
        parts: (name, module) of each part, in the order of computation; applied to each view separately.
        tail: Module that computes features (B, D) from the pooled activations.
        blocks: Sizes of the feature vectors that are concatenated; the sum is D.
        classes: Number of classes, C; 0 for a network without classifier, whose logits have the shape (B, 0).
        pooling: Pooling over the views: ``max`` or ``mean``, element-wise; or a module that computes the pooled
            activations (B, ...) from the activations (B, V, ...) of all views.
        dropout: Dropout rate before the classifier.
        profile: What :meth:`shorten` puts in the place of the last parts; None if they cannot be replaced.
        at_once: Largest number of views to process at a time when no gradients are computed, so that memory use stays
            bounded; None for no limit.
    """

    descriptor: DescriptorName | None = None
    """Name of the engineered descriptor that the network computes in place of its parts; None for other networks."""

    def __init__(
        self,
        encode: nn.Module,
        parts: Sequence[Part],
        tail: nn.Module,
        *,
        blocks: Sequence[int],
        classes: int,
        pooling: Pooling | nn.Module = "max",
        dropout: float = 0.0,
        profile: Profile | None = None,
        at_once: int | None = None,
    ) -> None:
        super().__init__()
        self.encode = encode
        self.at_once = at_once
        self.parts = nn.ModuleDict(dict(parts))
        self.pooling = pooling
        self.tail = tail
        self.dropout = nn.Dropout(dropout)
        self.blocks = tuple(blocks)
        self.profile = profile
        self.discriminant: Discriminant | None = None
        self.classifier = nn.Linear(sum(blocks), classes) if classes else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.01)
            nn.init.zeros_(self.classifier.bias)

    @property
    def feature_size(self) -> int:
        """Number of features of a shape; with a discriminant (LDA) space, the number of its coordinates."""
        return sum(self.blocks) if self.discriminant is None else self.discriminant.size

    @property
    def parameter_count(self) -> int:
        """Number of learned values: parameters of the layers, and elements of the tensors of the discriminant space."""
        space = [] if self.discriminant is None else self.discriminant.buffers()
        return sum(tensor.numel() for tensor in (*self.parameters(), *space))

    def shorten(self) -> None:
        """Replace the last parts by the module of :attr:`profile`, and remove the classifier.

        The last part was trained with the classifier, and separates the training shapes better than others. The
        features before it generalize better, as those before a projection head do (Chen et al., ICML 2020).
        """
        assert self.profile is not None
        for name in list(self.parts)[-self.profile.replaces :]:
            del self.parts[name]
        self.parts["profile"], self.blocks = self.profile.module, self.profile.blocks
        self.profile = self.classifier = None

    def shorten_like(self, state: Mapping[str, Tensor]) -> None:
        """Shorten the network if a state dict is that of a shortened network with a discriminant (LDA) space."""
        centre = state.get("discriminant.centre")
        if self.profile is not None and centre is not None and len(centre) == sum(self.profile.blocks):
            self.shorten()

    def discriminate(self, discriminant: Discriminant, weight: Tensor) -> None:
        """Add a discriminant (LDA) space, whose coordinates become the features, and a new classifier with zero bias.

        Args:
            discriminant: Discriminant space, which computes E coordinates from the features.
            weight: (C, E), weights of the classifier of C classes.
        """
        device = next(self.parameters()).device
        self.discriminant = discriminant.to(device)
        self.classifier = linear = nn.Linear(weight.shape[1], len(weight)).to(device)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.zero_()

    def classify(self, weight: Tensor, bias: Tensor) -> None:
        """Set weights and biases of the classifier.

        Args:
            weight: (C, D), weights of the D features for each of C classes.
            bias: (C,), constant added to the logit of each class.
        """
        assert self.classifier is not None
        with torch.no_grad():
            self.classifier.weight.copy_(weight)
            self.classifier.bias.copy_(bias)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict into the network; first add a discriminant (LDA) space if the state dict contains one.

        A network is first shortened if the state dict is that of a shortened network.

        Args:
            state: Tensors by name.

        Raises:
            RuntimeError: A tensor is missing, unexpected or of another shape.
            KeyError: A tensor of the discriminant space or its classifier is missing.
        """
        self.shorten_like(state)
        prefix = "discriminant."
        space = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if space:
            self.discriminate(Discriminant.of(space, self.blocks), state["classifier.weight"])
        self.load_state_dict(state)

    def stem(self, inputs: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Apply the parts of the network to each view separately, from part ``start`` to the part before ``stop``.

        Args:
            inputs: V views or grids of B shapes, (B, V, ...) uint8; for ``start`` > 0, activations (B, V, ...) float
                at the input of part ``start``.
            start: Number of the first part to apply, from 0.
            stop: Number of the part before which to stop; None to apply all remaining parts.

        Returns:
            Activations (B, V, ...) float of each view.
        """
        batch, count = inputs.shape[:2]
        x = inputs.flatten(0, 1)
        if self.at_once is None or torch.is_grad_enabled() or torch.compiler.is_compiling():  # compiling: for OpenVINO
            x = self._through(x, start, stop)
        else:
            x = torch.cat([self._through(some, start, stop) for some in torch.split(x, self.at_once)])
        return x.reshape(batch, count, *x.shape[1:])

    def _through(self, x: Tensor, start: int, stop: int | None) -> Tensor:
        """Apply the parts of the network to N views, grids or activations (N, ...), as :meth:`stem` does."""
        if start == 0:
            x = self.encode(x)
        for part in list(self.parts.values())[start:stop]:
            x = part(x)
        return x

    def pool(self, activations: Tensor) -> Tensor:
        """Combine the activations (B, V, ...) of the V views of B shapes into one activation (B, ...) per shape."""
        if isinstance(self.pooling, nn.Module):
            pooled: Tensor = self.pooling(activations)
            return pooled
        return pool_views(activations, self.pooling)

    def embed(self, pooled: Tensor) -> Tensor:
        """Compute D features (B, D) of each of B shapes from their pooled activations (B, ...).

        If the network has a discriminant space, the features are coordinates in this space. The space always computes
        in float32, like the classifier.
        """
        features: Tensor = self.tail(pooled)
        if self.discriminant is None:
            return features
        with torch.autocast(features.device.type, enabled=False):
            coordinates: Tensor = self.discriminant(features.float())
        return coordinates

    def head(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B, C) of C classes and D features (B, D) from the pooled activations (B, ...) of B shapes.

        The classifier always computes in float32. Logits are large sums with small differences; in bfloat16, with its 8
        significant bits, different shapes would get equal scores.
        """
        features = self.embed(pooled)
        if self.classifier is None:
            return features[:, :0], features
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classifier(self.dropout(features.float()))
            return logits, features

    def alone(self, activations: Tensor) -> Tensor:
        """Compute D features of each view (B, V, D) from the activations (B, V, ...) of V views of B shapes."""
        single = self.embed(self.pool(activations.flatten(0, 1)[:, None]))
        return single.reshape(*activations.shape[:2], -1)

    def forward(self, inputs: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Compute logits (B, C) of C classes and D features (B, D) of B shapes from V views or grids each.

        Args:
            inputs: Views or grids, (B, V, ...) uint8; for ``start`` > 0, activations at the input of part ``start``.
            start: Number of the first part to apply, from 0.
        """
        return self.head(self.pool(self.stem(inputs, start)))


def memory_layout(kind: InputKind) -> torch.memory_format:
    """Return the memory layout in which a network computes fastest: channels last.

    Args:
        kind: Kind of input of the network: ``views`` or ``voxels``.
    """
    return torch.channels_last if kind == "views" else torch.channels_last_3d


class FeaturesAlone(nn.Module):
    """Network without its classifier, for export to OpenVINO.

    The classifier is applied separately in float32, because exported networks may compute in bfloat16.

    Args:
        network: Network with or without a classifier.
        views: Whether to also compute a separate feature for each view.
    """

    def __init__(self, network: ShapeNetwork, views: bool = False) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute D features (B, D) of each of B shapes from V views or rotations of its grid, (B, V, ...).

        With ``views``, also return the D features of each view separately, (B, V, D).
        """
        activations = self.network.stem(inputs)
        features = self.network.embed(self.network.pool(activations))
        return (features, self.network.alone(activations)) if self.views else features
