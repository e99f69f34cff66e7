"""Results for another class mix, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.errors import UsageError
from shapecnn.evaluation.priors import ClassPrior, class_means, reweight

LABELS = ["chair"] * 4 + ["bed"]
RIGHT = np.array([1.0, 1, 1, 0, 0])
PRECISIONS = np.array([1.0, 0.5, 0.5, np.nan, 0.2])


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "mix.csv").write_text(text)
    return str(tmp_path / "mix.csv")


def test_uniform() -> None:
    mix = reweight(ClassPrior.read("uniform"), LABELS, RIGHT, PRECISIONS)
    assert mix.shares == {"bed": 0.5, "chair": 0.5}
    assert mix.accuracy == pytest.approx((3 / 4 + 0) / 2)
    assert mix.mAP == pytest.approx((2 / 3 + 0.2) / 2)
    assert mix.mAP == pytest.approx(class_means(PRECISIONS, LABELS)[0])


def test_shares_of_a_file(tmp_path: Path) -> None:
    prior = ClassPrior.read(write(tmp_path, "class,share\nbed,90 %\nchair,30%\nsofa,0\n".replace(" %", "%")))
    mix = reweight(prior, LABELS, RIGHT, None)
    assert mix.shares == {"bed": 0.75, "chair": 0.25}
    assert mix.accuracy == pytest.approx(0.25 * 3 / 4)
    assert (mix.mAP, mix.intervals["mAP"]) == (None, None)


def test_the_mix_of_the_data_changes_nothing(tmp_path: Path) -> None:
    prior = ClassPrior.read(write(tmp_path, "label;count\nchair;4\nbed;1\n"))
    assert reweight(prior, LABELS, RIGHT, None).accuracy == pytest.approx(RIGHT.mean())


def test_intervals_are_those_of_resampling_within_the_classes() -> None:
    labels = ["a"] * 40 + ["b"] * 10
    values = np.random.default_rng(1).random(50)
    generator = np.random.default_rng(2)
    means = [
        0.5 * generator.choice(values[:40], 40).mean() + 0.5 * generator.choice(values[40:], 10).mean()
        for _ in range(5000)
    ]
    mean, interval = class_means(values, labels)
    assert mean == pytest.approx((values[:40].mean() + values[40:].mean()) / 2)
    assert interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.01)
    assert class_means(np.full(50, np.nan), labels) == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,share\nbed,much\n", "line 2: the share 'much' is not a number of at least 0."),
        ("class,share\nbed,-1\n", "line 2: the share '-1' is not a number of at least 0."),
        ("class,share\nbed,nan\n", "line 2: the share 'nan' is not"),
        ("class,share\nbed,1\nbed,2\n", "line 3: the class 'bed' occurs twice."),
        ("class,share\nbed,0\n", "has no class with a share above 0."),
        (
            "class,share\nsofa,1\n",
            "has a share for classes without evaluated shapes, whose results are not known: ",
        ),
    ],
)
def test_wrong_files(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ClassPrior.read(write(tmp_path, text)).require_measured(LABELS)
    assert message in str(caught.value)


def test_a_class_without_queries_leaves_map_undefined() -> None:
    mix = reweight(ClassPrior(), LABELS, RIGHT, np.array([1, 1, 1, 1, np.nan]))
    assert mix.mAP is None
    assert mix.accuracy == pytest.approx(3 / 8)


def test_a_class_without_shapes_leaves_all_undefined() -> None:
    """Such as the copies that --exclude-duplicates leaves out."""
    mix = reweight(ClassPrior("mix.csv", {"chair": 1, "sofa": 1}), LABELS, RIGHT, PRECISIONS)
    assert (mix.accuracy, mix.mAP) == (None, None)
