"""The reliability diagram, compared with bins computed by hand."""

from __future__ import annotations

import re
from dataclasses import astuple
from xml.etree import ElementTree

import numpy as np
import pytest

from shapecnn.evaluation.classification import reliability
from shapecnn.report.reliability import reliability_diagram

RIGHT = np.array([True, True, True, False, False, True])
CONFIDENCE = np.array([0.95, 0.97, 0.99, 0.98, 0.3, 0.3])


def test_bins_hold_means_and_their_upper_end() -> None:
    bins = reliability(RIGHT, CONFIDENCE)
    assert len(bins) == 15
    assert [k for k, each in enumerate(bins) if each.count] == [4, 14]
    assert astuple(bins[4]) == pytest.approx((2, 0.3, 0.5))
    assert astuple(bins[14]) == pytest.approx((4, 0.9725, 0.75))
    ends = reliability(np.array([True, True, True]), np.array([0.0, 1 / 15, 1.0]))
    assert [each.count for each in ends] == [2, *[0] * 13, 1]


def test_the_diagram_has_each_bin_with_its_count_and_the_error() -> None:
    svg = reliability_diagram(RIGHT, CONFIDENCE, "a run on <data>")
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]
    assert {"a run on <data>", "6 shapes, expected calibration error 0.215", "2", "4"} <= {t.strip() for t in texts}
    markers = [e for e in ElementTree.fromstring(svg).iter() if e.get("id", "").startswith("PathCollection")]
    assert [len([e for e in each.iter() if e.tag.endswith(("}use", "}path"))]) for each in markers] == [2]
    assert svg == reliability_diagram(RIGHT, CONFIDENCE, "a run on <data>")
    assert not re.search(rb"<dc:date>", svg)
