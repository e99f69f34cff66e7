"""What frozen parts leave, computed once: mirrored copies, bounded memory, a disk that is too small."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import UsageError
from shapecnn.models import conversion
from shapecnn.models.input import Input, InputArray
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.training.activations import Activations, Encode, encoder, open_activations
from shapecnn.training.augmentation import Change
from shapecnn.workers.progress import no_progress
from tests.training.data import MVCNN


@pytest.fixture
def artefacts(views: Path) -> Artefacts:
    return open_artefacts(views)


@pytest.fixture
def seen(artefacts: Artefacts) -> Input:
    return Input.of(artefacts.settings)


@pytest.fixture(scope="module")
def network() -> ShapeNetwork:
    return build_network(MVCNN, 32, 3).eval()


@pytest.fixture
def opened(artefacts: Artefacts, seen: Input, accelerator: Accelerator, tmp_path: Path) -> Callable[..., Activations]:
    """``opened(encode, flip)``: of all shapes."""

    def compute(encode: Encode | None = None, flip: bool = False) -> Activations:
        path = tmp_path / "resume" / "a.npy"
        return open_activations(path, artefacts, artefacts.entries, seen, encode, flip, accelerator, no_progress)

    return compute


def stem(network: ShapeNetwork, stop: int) -> Encode:
    def encode(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.float32]]:
        with torch.inference_mode():
            yield from (network.stem(torch.from_numpy(array)[None], stop=stop)[0].numpy() for array in inputs)

    return encode


def test_without_frozen_parts_they_are_the_pictures(
    opened: Callable[..., Activations], artefacts: Artefacts, seen: Input
) -> None:
    activations = opened()
    assert (activations.views_per_shape, activations.axes, activations.bfloat16) == (12, 2, False)
    rows = np.array([7, 0, 20])
    batch = activations.batch(rows)
    assert (batch.dtype, batch.shape) == (torch.uint8, (3, 12, 32, 32))
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(batch[i], seen.read(artefacts, artefacts.entries[row]))


def test_they_are_what_the_frozen_parts_leave(
    opened: Callable[..., Activations], artefacts: Artefacts, seen: Input, network: ShapeNetwork
) -> None:
    activations = opened(stem(network, 3))
    for row, entry in enumerate(artefacts.entries):
        (expected,) = stem(network, 3)([seen.read(artefacts, entry).copy()])
        np.testing.assert_array_equal(activations.batch(np.array([row]))[0], expected)
    assert len(activations.values) == 1


def test_mirrored_copies_are_of_mirrored_pictures(
    opened: Callable[..., Activations], artefacts: Artefacts, seen: Input, network: ShapeNetwork
) -> None:
    activations = opened(stem(network, 2), flip=True)
    assert len(activations.values) == 2
    rows = np.array([4, 4])
    plain, mirrored = activations.batch(rows, [Change(), Change(flip=True)])
    picture = seen.read(artefacts, artefacts.entries[4])
    expected = stem(network, 2)([picture.copy(), picture[:, :, ::-1].copy()])
    for found, wanted in zip((plain, mirrored), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert not torch.equal(plain, mirrored)


def test_one_look_of_each_row_where_views_are_examples(opened: Callable[..., Activations]) -> None:
    activations = opened()
    rows, views = np.array([3, 3, 5]), np.array([11, 0, 4])
    batch = activations.batch(rows, [Change(flip=True), Change(), Change(shift=(1, 2))], views)
    assert batch.shape == (3, 1, 32, 32)
    whole = activations.batch(rows)
    assert torch.equal(batch[0, 0], whole[0, 11].flip(1))
    assert torch.equal(batch[1, 0], whole[1, 0])
    assert torch.equal(batch[2, 0, 1:, 2:], whole[2, 4, :-1, :-2])


def test_bfloat16_is_kept_to_the_bit(opened: Callable[..., Activations], artefacts: Artefacts, seen: Input) -> None:
    def encode(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.uint16]]:
        yield from ((torch.from_numpy(array.copy()) / 7).bfloat16().view(torch.uint16).numpy() for array in inputs)

    activations = opened(encode)
    assert (activations.bfloat16, activations.values.dtype) == (True, np.uint16)
    batch = activations.batch(np.arange(3))
    assert batch.dtype == torch.bfloat16
    assert torch.equal(
        batch,
        (torch.from_numpy(np.stack([seen.read(artefacts, entry) for entry in artefacts.entries[:3]])) / 7).bfloat16(),
    )


def test_they_are_mapped_not_read(opened: Callable[..., Activations]) -> None:
    assert isinstance(opened().values, np.memmap)
    batch = opened().batch(np.arange(2))
    batch += 1  # a copy: what is mapped cannot be written to
    assert not opened().values.flags.writeable


def test_what_is_there_is_not_computed_again(opened: Callable[..., Activations], network: ShapeNetwork) -> None:
    first = opened(stem(network, 2)).values.copy()

    def never(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.float32]]:
        raise AssertionError

    np.testing.assert_array_equal(opened(never).values, first)


def test_an_interrupted_computation_begins_anew(opened: Callable[..., Activations], tmp_path: Path) -> None:
    def as_floats(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.float32]]:
        yield from (array.astype(np.float32) for array in inputs)

    def interrupted(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.float32]]:
        yield from itertools.islice(as_floats(inputs), 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(interrupted)
    assert not (tmp_path / "resume/a.npy").exists()
    activations = opened(as_floats)
    assert all((activations.values[0, row] > 0).any() for row in range(21))
    assert sorted(path.name for path in (tmp_path / "resume").iterdir()) == ["SHA256SUMS", "a.npy"]


def test_a_flipped_bit_is_never_trained_on(
    opened: Callable[..., Activations], artefacts: Artefacts, seen: Input, tmp_path: Path
) -> None:
    opened()
    path = tmp_path / "resume" / "a.npy"
    whole = path.read_bytes()
    for place in (0, 100, len(whole) // 2, len(whole) - 1):
        altered = bytearray(whole)
        altered[place] ^= 1
        path.write_bytes(altered)
        np.testing.assert_array_equal(opened().batch(np.array([7]))[0], seen.read(artefacts, artefacts.entries[7]))
        assert path.read_bytes() == whole


def test_a_disk_too_small_is_told_before_it_is_full(
    opened: Callable[..., Activations], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 21 * 12 * 32 * 32
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=room - 1))
    with pytest.raises(UsageError) as caught:
        opened()
    assert str(caught.value) == (
        f"Training needs 0.0 GB of disk space in {tmp_path}, but 0.0 GB are free. Choose another --out (with "
        f"--find-step, set TMPDIR to another folder), or free some space."
    )
    assert not any((tmp_path / "resume").glob("*.npy"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=room))
    opened()


def test_room_that_an_interrupted_sitting_took_counts_as_free(
    opened: Callable[..., Activations], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "resume/a.partial.npy"
    left.parent.mkdir()
    left.write_bytes(bytes(1000))
    room = 21 * 12 * 32 * 32
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0 if left.exists() else room))
    opened()


def test_only_a_few_shapes_are_decoded_ahead(
    artefacts: Artefacts, seen: Input, accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    original = Input.read

    def counted(self: Input, artefacts: Artefacts, entry: Entry) -> InputArray:
        nonlocal read
        read += 1
        return original(self, artefacts, entry)

    monkeypatch.setattr(Input, "read", counted)
    ahead = []

    def encode(inputs: Iterable[InputArray]) -> Iterator[NDArray[np.float32]]:
        for array in inputs:
            ahead.append(read - len(ahead))
            yield array.mean(axis=(1, 2), dtype=np.float32)

    many = artefacts.entries * 5
    open_activations(tmp_path / "a.npy", artefacts, many, seen, encode, False, accelerator, no_progress)
    assert (len(ahead), read) == (105, 105)
    assert max(ahead) <= 10


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_encoder_is_the_stem_in_order(
    network: ShapeNetwork, stop: int, engine: str, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "available", lambda: engine == "openvino")
    arrays = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)
    encoded = np.stack(list(encoder(network, stop, accelerator)(iter(arrays))))
    with torch.inference_mode():
        expected = network.stem(torch.from_numpy(arrays), stop=stop).numpy()
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, expected, atol=1e-3)
    assert list(encoder(network, stop, accelerator)(iter([]))) == []
