"""One page of each kind with extreme widths: forty classes, and long names without spaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.duplicates.results import Audit, Empty, Features, Group, Level, Member
from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.results import Evaluation, FeatureSet
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.explanation import Explanation
from shapecnn.models.attribution import Attribution
from shapecnn.report.audit import audit_page
from shapecnn.report.comparison import page
from shapecnn.report.evaluation import evaluation_page
from shapecnn.report.explanation import explanation_page
from shapecnn.report.html import fill, png_base64
from shapecnn.report.pages import SHOWN_VIEWS, _QuerySection, _ShapeCard
from tests.report.comparisons import comparison, measured

CLASSES = [f"{'upholstered_armchair_with_footrest_and_' * (k % 3 == 0)}class_{k:02}" for k in range(40)]
LONG = "a_long_name_of_a_file_that_somebody_has_exported_from_a_program_" * 3
VIEW = np.full((24, 24), 200, np.uint8)


def pages() -> dict[str, str]:
    """HTML by kind of page."""
    compared = comparison(*(measured(f"runs/{LONG[:90]}{k}", seed=k) for k in range(3)))
    return {
        "evaluation": evaluation_page(_evaluation(), lambda _: np.stack([VIEW] * 12)),
        "audit": _audit(),
        "explanation": explanation_page([f"{LONG}.off"], [_explanation()], LONG),
        "comparison": page(compared),
        "query": _query(),
    }


def _evaluation() -> Evaluation:
    labels = [label for label in CLASSES for _ in range(2)]
    entries = [Entry(f"{label}/{LONG}{k:02}.off", label, "test", None, "ok", None) for k, label in enumerate(labels)]
    generator = np.random.default_rng(0)
    scores = generator.random((80, 40)).astype(np.float32)
    scores /= scores.sum(axis=1, keepdims=True)
    features = generator.normal(size=(80, 8)).astype(np.float32)
    items = FeatureSet(entries, features[:, None])
    interval = (0.25, 0.75)
    return replace(
        measured(LONG).evaluation,
        data=LONG,
        entries=entries,
        classification=classify(labels, scores, CLASSES),
        scores=scores,
        retrieval=mvcnn(features, labels),
        queries=items,
        gallery=items,
        intervals={"accuracy": interval, "mean_class_accuracy": interval, "mAP": interval, "mAP_macro": interval},
    )


def _audit() -> str:
    entries = [Entry(f"{CLASSES[0]}/{LONG}{k}.off", CLASSES[0], "train", None, "ok", None) for k in range(8)]
    failed = replace(entries[0], status="failed", error=f"{LONG} is no mesh")
    level = Level(100_000, 200_000, 100_000, 100_000, 100_000)
    group = Group("feature", [Member(entry, 0.9999) for entry in entries])
    features = Features(LONG, "penultimate", 0.98, [(0.9, 7), (0.95, 3)])
    levels = {"content": level, "geometry": level, "feature": level}
    audited = Audit(LONG, "views", [*entries, failed], levels, [group], [Empty(entries[0], 3, 12)], features, 1.0)
    page, mesh = Path("audit") / "audit.html", Path(f"{LONG}.off")
    return audit_page(audited, lambda shown: ((entry, np.stack([VIEW] * 12)) for entry in shown), lambda _: mesh, page)


def _explanation() -> Explanation:
    given = np.full(12, -1000.25, np.float32)
    given[3] = 12345.5  # all that speaks for it: 100 %
    evidence = Attribution(given, -12.34, -10.0, np.zeros((12, 24, 24), np.float32))
    return Explanation(
        path=f"{LONG}.off",
        inputs=np.stack([VIEW] * 12),
        azimuths=np.full(12, 330.0),
        elevations=np.full(12, 30.0),
        found_axes=True,
        classes=tuple(CLASSES),
        scores=np.full(40, 1 / 40, np.float32),
        evidence=evidence,
        asked=CLASSES[3],
        why_not=evidence,
    )


def _query() -> str:
    card = _ShapeCard(png_base64(np.concatenate([VIEW] * 4, axis=1)), f"{LONG}.off", f"{CLASSES[0]}/{LONG}.off")
    hit = replace(card, link="x.off", score="1.000", label=CLASSES[0])
    gone = replace(hit, picture=None)
    sections = [_QuerySection(card, [hit, gone] * 3)]
    return fill(
        "query.html", sections=sections, index=LONG, model=LONG, count=80, several=True, shown=SHOWN_VIEWS, views=12
    )
