"""Vision transformers in parts: to the bit those of timm, and as plain formulas compute them; memory is bounded."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import build_backbone, fork
from shapecnn.networks.choices import CHOICES
from shapecnn.networks.mvcnn import mvcnn
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network, fitting_state
from shapecnn.networks.transformers import is_transformer, pictures_at_once, split
from shapecnn.settings.networks import MvcnnSettings
from tests.networks.transformers import made, randomize


def pictures(size: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def in_a_row(parts: Any, x: Tensor) -> Tensor:
    for _, part in parts:
        x = part(x)
    return x


FAMILIES = {  # names of timm, each with a size of pictures that it was not made for
    "vit_tiny_patch16_224": 64,
    "vit_small_patch14_dinov2": 56,
    "vit_small_patch14_reg4_dinov2": 56,
    "vit_base_patch32_clip_quickgelu_224": 96,
    "vit_small_patch16_dinov3": 64,
    "vit_small_patch16_dinov3_qkvb": 64,
    "eva02_tiny_patch14_336": 56,
    "vit_base_patch16_siglip_224": 64,
    "vit_base_patch16_siglip_gap_224": 64,
}


@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_parts_in_a_row_are_the_network_to_the_bit(name: str) -> None:
    size = FAMILIES[name]
    network, x = made(name), pictures(size)
    resized = copy.deepcopy(network)
    if not resized.dynamic_img_size:
        resized.set_input_size(img_size=(size, size))
    expected, held = resized(x), sum(parameter.numel() for parameter in resized.parameters())
    parts = split(network, name, size)
    assert [key for key, _ in parts] == ["first", "block0", "block1", "last"]
    assert expected.std() > 0.1
    assert torch.equal(in_a_row(parts, x), expected)
    own = [parameter for _, part in parts for parameter in part.parameters()]
    assert len({id(parameter) for parameter in own}) == len(own)
    assert sum(parameter.numel() for parameter in own) == held


def normalized(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    """Layer normalization, from its definition."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


def rotated(x: Tensor, grid: int, skip: int) -> Tensor:
    """Rotary position embedding of DINOv3 (Siméoni et al. 2025), patch by patch. x: (N, heads, T, d)."""
    d = x.shape[-1]
    periods = [100 ** (2 * k / (d // 2)) for k in range(d // 4)]
    out = x.clone()
    for place in range(grid * grid):
        y, x_ = (2 * (each + 0.5) / grid - 1 for each in divmod(place, grid))
        angles = [2 * math.pi * each / period for each in (y, x_) for period in periods]
        for k, angle in enumerate(angles):
            a, b = x[:, :, skip + place, k], x[:, :, skip + place, k + d // 2]
            out[:, :, skip + place, k] = a * math.cos(angle) - b * math.sin(angle)
            out[:, :, skip + place, k + d // 2] = b * math.cos(angle) + a * math.sin(angle)
    return out


def plainly(network: Any, x: Tensor, size: int, *, turned: bool, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """All tokens (N, T, D) of pictures (N, 3, S, S) after the last normalization, without any module of timm."""
    patch = network.patch_embed.patch_size[0]
    grid = size // patch
    convolution = network.patch_embed.proj
    cut = x.unfold(2, patch, patch).unfold(3, patch, patch)  # (N, 3, grid, grid, patch, patch)
    cut = cut.permute(0, 2, 3, 1, 4, 5).reshape(len(x), grid * grid, -1)
    tokens = cut @ convolution.weight.flatten(1).T
    if convolution.bias is not None:
        tokens = tokens + convolution.bias
    registers = network.reg_token
    before = [each.expand(len(x), -1, -1) for each in (network.cls_token, registers) if each is not None]
    skip = sum(each.shape[1] for each in before)
    places = network.pos_embed
    if places is not None:
        own = 0 if network.no_embed_class else 1
        side = math.isqrt(places.shape[1] - own)
        maps = places[:, own:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if side != grid:
            maps = functional.interpolate(maps, (grid, grid), mode="bicubic", antialias=True)
        tokens = tokens + maps.flatten(2).transpose(1, 2)
        if own:
            before[0] = before[0] + places[:, :1]
    tokens = torch.cat([*before, tokens], dim=1)
    if isinstance(network.norm_pre, nn.LayerNorm):
        tokens = normalized(tokens, network.norm_pre)
    for block in network.blocks:
        heads = block.attn.num_heads
        projected = normalized(tokens, block.norm1) @ block.attn.qkv.weight.T
        if block.attn.qkv.bias is not None:
            projected = projected + block.attn.qkv.bias
        q, k, v = projected.reshape(len(x), -1, 3, heads, tokens.shape[-1] // heads).permute(2, 0, 3, 1, 4)
        if turned:
            q, k = rotated(q, grid, skip), rotated(k, grid, skip)
        shares = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = (shares @ v).transpose(1, 2).flatten(2) @ block.attn.proj.weight.T + block.attn.proj.bias
        scales = [getattr(block, gamma, None) for gamma in ("gamma_1", "gamma_2")]
        if scales[0] is None and hasattr(block, "ls1"):
            scales = [getattr(layer, "gamma", None) for layer in (block.ls1, block.ls2)]
        tokens = tokens + (mixed if scales[0] is None else mixed * scales[0])
        hidden = activation(normalized(tokens, block.norm2) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
        out = hidden @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
        tokens = tokens + (out if scales[1] is None else out * scales[1])
    return normalized(tokens, network.norm)


def gelu(x: Tensor) -> Tensor:
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@pytest.mark.parametrize(
    ("choice", "native", "size", "skip", "turned", "activation"),
    [
        ("dinov3-s", 256, 64, 5, True, gelu),
        ("dinov2-s", 518, 56, 1, False, gelu),
        ("clip-b32", 224, 96, 1, False, quick_gelu),
    ],
)
@torch.inference_mode()
def test_features_are_class_tokens_as_plain_formulas_compute_them(
    choice: str,
    native: int,
    size: int,
    skip: int,
    turned: bool,
    activation: Callable[[Tensor], Tensor],
    narrow: Callable[..., Any],
) -> None:
    network, x = narrow(CHOICES[choice].model).eval(), pictures(size)
    backbone = build_backbone(choice, "none", size)
    assert (backbone.name, backbone.size, backbone.feature_size) == (choice, native, 32)
    tokens = plainly(network, x, size, turned=turned, activation=activation)
    patch = network.patch_embed.patch_size[0]
    assert tokens.shape == (2, skip + (size // patch) ** 2, 32)
    assert tokens[:, 0].std() > 0.1
    torch.testing.assert_close(in_a_row(backbone.parts, x), tokens[:, 0], atol=2e-5, rtol=1e-4)
    named = build_backbone(CHOICES[choice].model, "none", size)
    pooled = tokens[:, skip:].mean(dim=1) if choice.startswith("dinov3") else tokens[:, 0]  # as timm pools them
    torch.testing.assert_close(in_a_row(named.parts, x), pooled, atol=2e-5, rtol=1e-4)


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)


@pytest.mark.parametrize(
    ("choice", "native", "mean"),
    [("dinov3-s", 256, (0.485, 0.456, 0.406)), ("dinov2-s", 518, (0.485, 0.456, 0.406)), ("clip-b16", 224, CLIP_MEAN)],
)
@torch.inference_mode()
def test_grey_pictures_are_scaled_and_normalized_as_the_network_was_trained(
    choice: str, native: int, mean: tuple[float, float, float], narrow: Callable[..., Any]
) -> None:
    network = build_network(MvcnnSettings(backbone=choice, weights="none", resize="native"), 40, 0)
    encoded = network.encode(torch.full((1, 40, 40), 51, dtype=torch.uint8))
    assert encoded.shape == (1, 3, native, native)
    deviations = (0.26862954, 0.26130258, 0.27577711) if mean == CLIP_MEAN else (0.229, 0.224, 0.225)
    expected = [(0.2 - each) / deviation for each, deviation in zip(mean, deviations, strict=True)]
    torch.testing.assert_close(encoded[0, :, 7, 9], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert network.stem(torch.zeros((1, 1, 40, 40), dtype=torch.uint8)).shape == (1, 1, 32)


@pytest.mark.parametrize(("size", "fits"), [(100, 98), (32, 42), (15, 42)])
def test_pictures_that_cannot_be_cut_into_patches_are_refused(size: int, fits: int, narrow: Callable[..., Any]) -> None:
    told = f"dinov2-s cannot process pictures of {size} pixels a side, because it cuts them into patches of 14. Use "
    with pytest.raises(UsageError, match=rf"{told}--set size={fits} with .* network.resize={fits} .*--size {fits}"):
        build_backbone("dinov2-s", "none", size)
    assert build_backbone("dinov2-s", "none", fits).parts


def test_networks_of_other_forms_stay_whole() -> None:
    mixed = made("vit_small_patch16_rope_mixed_224")  # learns another rotation for each block
    by_maximum = made("vit_tiny_patch16_224", global_pool="max")
    assert not is_transformer(mixed)
    assert not is_transformer(by_maximum)
    assert not is_transformer(nn.Linear(3, 3))


def network_of(name: str, size: int, **settings: Any) -> ShapeNetwork:
    return build_network(MvcnnSettings(backbone=name, weights="none", **settings), size, 3).eval()


def views(size: int, shapes: int = 2, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (shapes, count, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", ["dinov3-s", "dinov2-s", "clip-b16"])
@torch.inference_mode()
def test_a_network_may_begin_at_any_part(name: str, narrow: Callable[..., Any]) -> None:
    size = 56 if "dinov2" in name else 64
    network, seen = network_of(name, size), views(size)
    expected = network(seen)
    for start in range(len(network.parts) + 1):
        entering = network.stem(seen, stop=start) if start else seen
        assert all(map(torch.equal, network(entering, start), expected))


@torch.inference_mode()
def test_tokens_can_be_pooled_early_and_appended(narrow: Callable[..., Any]) -> None:
    early, seen = network_of("dinov3-s", 64, pool_at="early", pooling="mean"), views(64)
    tokens = early.stem(seen)
    assert tokens.shape == (2, 3, 21, 32)  # of a class, 4 registers and 4 × 4 patches
    last = early.tail
    torch.testing.assert_close(early(seen)[1], last(tokens.mean(dim=1)))
    backbone = build_backbone("dinov3-s", "none", 64)
    forked, x = fork(backbone, "block1", 64), pictures(64)
    assert forked.blocks == (32, 21 * 32)
    appended = in_a_row(backbone.parts[:2], x).flatten(1)
    expected = torch.cat([in_a_row(backbone.parts, x), appended], dim=1)
    torch.testing.assert_close(in_a_row(forked.parts, x), expected)


def test_a_large_network_gets_so_many_pictures_at_a_time() -> None:
    assert pictures_at_once(made("vit_small_patch16_dinov3"), 224) == 16384 // (14 * 14 + 5)
    assert pictures_at_once(made("vit_small_patch14_dinov2"), 518) == 16384 // (37 * 37 + 1)
    assert pictures_at_once(made("vit_tiny_patch16_224"), 4096) == 1


@pytest.mark.parametrize("stop", [None, 2])
def test_memory_is_bounded_unless_gradients_are_computed(stop: int | None, narrow: Callable[..., Any]) -> None:
    backbone = build_backbone("dinov2-s", "none", 56)
    network = mvcnn(backbone, classes=3).eval()
    network.at_once = 4
    sizes: list[int] = []
    for module in (network.encode, *network.parts.values()):
        module.register_forward_hook(lambda _module, _inputs, output: sizes.append(len(output)))
    seen = views(56, shapes=2, count=5)
    with torch.inference_mode():
        found = network.stem(seen, stop=stop)
    assert set(sizes) == {4, 2}  # of ten views
    assert sum(sizes) == 10 * len(sizes) // 3
    sizes.clear()
    expected = network.stem(seen, stop=stop)
    assert set(sizes) == {10}
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3"])
def test_runs_of_earlier_versions_are_read(name: str, narrow: Callable[..., Any]) -> None:
    """They hold the network as one part, with its tensors named as in timm."""
    size = 224 if "tiny" in name else 64
    settings = MvcnnSettings(backbone=name, weights="none")
    old = narrow(name)
    old.reset_classifier(0)
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.mul_(1.5)
    head = {"classifier.weight": torch.ones(3, 32), "classifier.bias": torch.zeros(3)}
    stored = {f"parts.whole.{key}": value for key, value in old.state_dict().items()} | head
    network, x = build_network(settings, size, 3), views(size)
    network.load(fitting_state(stored, settings, size))
    network.eval()
    with torch.inference_mode():
        expected = old.eval()(network.encode(x.flatten(0, 1))).reshape(2, 3, 32).amax(dim=1)
        assert torch.equal(network(x)[1], expected)
    del stored["parts.whole.norm.weight"]
    with pytest.raises(RuntimeError, match=r"tensor parts\.last\.norm\.weight is missing"):
        fitting_state(stored, settings, size)


def test_blocks_of_random_weights_change_tokens() -> None:
    """What the other tests rely on: without this, a wrong block would not be seen."""
    network = made("vit_small_patch14_dinov2")
    randomize(network)
    block, tokens = network.blocks[0], torch.randn(2, 5, 32)
    with torch.inference_mode():
        assert (block(tokens) - tokens).std() > 0.05
