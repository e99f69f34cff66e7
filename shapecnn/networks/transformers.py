"""Vision transformers of timm as backbones: split into parts, for pictures of any size that fits their patches.

A vision transformer cuts a picture into square patches. Each patch becomes a token, a vector of D numbers. Some
networks put other tokens before them, such as a class token. Blocks change the tokens, and the last part makes one
feature of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from timm.layers import PatchEmbed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.network import Part

_TOKENS = 16384  # tokens that are processed at a time: 64 pictures of 224 pixels, cut into patches of 14
_SMALLEST = 32  # pixels a side of the smallest views


class Block(nn.Module):
    """Block of a vision transformer, with the rotary position embedding of its tokens if it uses one.

    Args:
        block: Block of timm, which computes T tokens (N, T, D) of each of N pictures from their former values.
        rotation: Rotary position embedding, float32: the sines and cosines of the angles by which the block turns
            queries and keys, for each patch; None for a network that has no such embedding.
    """

    def __init__(self, block: nn.Module, rotation: Tensor | None) -> None:
        super().__init__()
        self.block = block
        self.register_buffer("rotation", rotation, persistent=False)
        self.rotation: Tensor | None

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute new values of T tokens (N, T, D) of each of N pictures."""
        out: Tensor = self.block(tokens) if self.rotation is None else self.block(tokens, rope=self.rotation)
        return out


class Pooled(nn.Module):
    """Last part of a vision transformer: makes the feature of a picture of its tokens.

    Args:
        network: Network of timm, whose normalizations and attention pooling this part takes over.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        eva_by_attention = type(network) is Eva and network.attn_pool is not None
        all_tokens = getattr(network, "pool_include_prefix", eva_by_attention)
        self.first = 0 if all_tokens else network.num_prefix_tokens
        self.token = network.global_pool == "token"
        self.norm, self.attn_pool, self.fc_norm = network.norm, network.attn_pool, network.fc_norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the features (N, D) of N pictures from their T tokens (N, T, D).

        The feature is the class token, the mean of the patches, or a mean that attention weights, as the network
        was trained.
        """
        tokens = self.norm(tokens)
        if self.attn_pool is not None:
            pooled: Tensor = self.attn_pool(tokens[:, self.first :])
        elif self.token:
            pooled = tokens[:, 0]
        else:
            pooled = tokens[:, self.first :].mean(dim=1)
        feature: Tensor = self.fc_norm(pooled)
        return feature


def is_transformer(network: nn.Module) -> bool:
    """Return whether a network of timm is a vision transformer that this module can split into parts.

    Args:
        network: Network of timm.
    """
    if type(network) not in (VisionTransformer, Eva):
        return False
    patches: Any = network.patch_embed
    return (
        type(patches) is PatchEmbed
        and not patches.dynamic_img_pad
        and not getattr(network, "rope_mixed", False)  # each block would have an embedding of its own, which it learns
        and (getattr(network, "attn_pool", None) is not None or network.global_pool in ("token", "avg"))
    )


def split(network: Any, name: str, size: int) -> tuple[Part, ...]:
    """Split a vision transformer into parts for pictures of one size. The network itself becomes the first part.

    The position embedding is interpolated to the size. Rotary embeddings are not varied at random in training.

    Args:
        network: Network of timm without classifier, for which :func:`is_transformer` is true.
        name: Name of the network for messages.
        size: Pixels along one side of the pictures.

    Returns:
        ``first``, which computes the tokens (N, T, D) of N pictures (N, 3, S, S); ``block0`` and so on; and ``last``.

    Raises:
        UsageError: The pictures cannot be cut into whole patches.
    """
    patch = network.patch_embed.patch_size[0]
    if size % patch:
        fits = max(size // patch, -(-_SMALLEST // patch)) * patch
        raise UsageError(
            f"{name} cannot process pictures of {size} pixels a side, because it cuts them into patches of {patch}. "
            f"Use --set size={fits} with @imagenet, --set network.resize={fits} for a training, or shapecnn render "
            f"--size {fits} before."
        )
    if not network.dynamic_img_size and network.patch_embed.img_size != (size, size):
        network.set_input_size(img_size=(size, size))
    rotary = getattr(network, "rope", None)
    rotation = None if rotary is None else rotary.get_embed([size // patch, size // patch])
    blocks = [(f"block{i}", Block(block, rotation)) for i, block in enumerate(network.blocks)]
    last = Pooled(network)
    network.blocks, network.norm, network.fc_norm = nn.Sequential(), nn.Identity(), nn.Identity()
    network.attn_pool, network.global_pool = None, ""  # so that the network returns the tokens
    return ("first", network), *blocks, ("last", last)


def pictures_at_once(network: Any, size: int) -> int:
    """Return how many pictures a vision transformer should process at a time, so that memory use stays bounded.

    Args:
        network: Network of timm, for which :func:`is_transformer` is true.
        size: Pixels along one side of the pictures.
    """
    tokens = (size // network.patch_embed.patch_size[0]) ** 2 + network.num_prefix_tokens
    return max(1, _TOKENS // int(tokens))


def by_parts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a run in which a vision transformer is a single part, as earlier versions stored it.

    Args:
        state: State dict of a :class:`shapecnn.networks.network.ShapeNetwork` with the part ``whole``.

    Returns:
        State dict of the same network, split into parts.
    """
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    name = re.sub(r"^parts\.whole\.blocks\.(\d+)\.", r"parts.block\1.block.", name)
    name = re.sub(r"^parts\.whole\.(norm|fc_norm|attn_pool)\.", r"parts.last.\1.", name)
    return re.sub(r"^parts\.whole\.", "parts.first.", name)
