"""What a run was trained on: small on disk, and nothing lost on the way."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn import gallery as module
from shapecnn.gallery import Gallery

IDS, LABELS = ["ä.off", "b/b.off", "c.off"], ["cup", "hat", "ö"]


def test_it_comes_back_from_its_bytes() -> None:
    features = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32) * [[1e-6], [1], [1e9]]
    features = features.astype(np.float32)
    gallery = Gallery.of(IDS, LABELS, features)
    again = Gallery.read(gallery.to_bytes(), 50)
    assert (again.ids, again.labels, again.units.dtype) == (IDS, LABELS, np.float16)
    assert np.array_equal(again.features, gallery.features)
    for kept, given in zip(again.features, features, strict=True):  # of any size: to 11 bits of the largest
        assert kept == pytest.approx(given, abs=2**-11 * float(np.abs(given).max()))
    assert again.to_bytes() == gallery.to_bytes()
    assert len(gallery.to_bytes()) < 3 * 50 * 2 + 500


def test_features_of_zeros_stay() -> None:
    assert not Gallery.of(IDS, LABELS, np.zeros((3, 4), np.float32)).features.any()


def test_of_too_many_shapes_some_are_kept_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 4)
    features = np.arange(10, dtype=np.float32)[:, None]
    kept = Gallery.of([str(k) for k in range(10)], ["even", "odd"] * 5, features)
    assert kept.ids == ["0", "3", "6", "9"]
    assert kept.labels == ["even", "odd", "even", "odd"]
    assert kept.features[:, 0].tolist() == [0, 3, 6, 9]
