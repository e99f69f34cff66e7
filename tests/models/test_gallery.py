"""What a run was trained on: small on disk, and nothing lost on the way."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save

from shapecnn.models import gallery as module
from shapecnn.models.gallery import Gallery

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


def forged(**changes: object) -> bytes:
    """A gallery of three shapes with some of its arrays replaced; of ``names``, its ids and labels."""
    names = json.dumps(changes.pop("names", {"ids": IDS, "labels": LABELS})).encode()
    units = np.eye(3, 4, dtype=np.float16)
    shapes = np.frombuffer(names, np.uint8)
    return save({"units": units, "lengths": np.ones(3, np.float32), "shapes": shapes, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": np.eye(3, 5, dtype=np.float16)}, "units is float16 .3, 5., not float16 .any, 4."),
        ({"units": np.eye(3, 4, dtype=np.float32)}, "units is float32"),
        ({"units": np.full((3, 4), 1.1, np.float16)}, "not of unit length"),
        ({"units": np.full((3, 4), np.nan, np.float16)}, "units contains NaN or infinity"),
        ({"units": np.eye(0, 4, dtype=np.float16)}, "lengths is float32 .3,., not float32 .0."),
        ({"lengths": np.ones(2, np.float32)}, "lengths is float32 .2,., not float32 .3."),
        ({"shapes": np.zeros((2, 2), np.uint8)}, "shapes is uint8"),
        ({"shapes": np.zeros(3, np.uint8)}, "Expecting value"),
        ({"names": [IDS, LABELS]}, "the ids and labels are not in a JSON object"),
        ({"names": {"ids": IDS}}, "the gallery does not list one id and one label"),
        ({"names": {"ids": "abc", "labels": LABELS}}, "the gallery does not list one id and one label"),
        ({"names": {"ids": IDS, "labels": LABELS[:2]}}, "the gallery does not list one id and one label"),
        (
            {"names": {"ids": [*IDS, "d"], "labels": LABELS}},
            "the gallery does not list one id and one label",
        ),
        (
            {"names": {"ids": IDS, "labels": ["cup", None, "ö"]}},
            "the gallery does not list one id and one label",
        ),
    ],
)
def test_what_is_forged_is_refused(changes: dict[str, object], message: str) -> None:
    assert Gallery.read(forged(), 4).labels == LABELS
    with pytest.raises(ValueError, match=message):
        Gallery.read(forged(**changes), 4)


def test_a_gallery_of_nothing_is_refused() -> None:
    nothing = {"units": np.zeros((0, 4), np.float16), "lengths": np.zeros(0, np.float32)}
    with pytest.raises(ValueError, match="the gallery contains no shapes"):
        Gallery.read(forged(**nothing, names={"ids": [], "labels": []}), 4)
