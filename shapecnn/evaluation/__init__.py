"""Evaluate and compare models on the train, val or test split: accuracy, retrieval results such as mAP, 95 % intervals.

Input: models and artefacts (rendered views or voxel grids). Output: result objects, which :mod:`shapecnn.report` draws
and the command line prints. :mod:`evaluate` measures one model, :mod:`compare` measures several models on the same
shapes. :mod:`settings` defines the options of an evaluation. :mod:`selection` selects and checks the shapes,
:mod:`contenders` selects and checks the models of a comparison, :mod:`outputs` runs the network. :mod:`classification`,
:mod:`retrieval`, :mod:`intervals` and :mod:`significance` are pure functions of arrays. :mod:`results` and
:mod:`compare_results` define the result objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.evaluation.classification import Classification as Classification
    from shapecnn.evaluation.classification import calibration_error as calibration_error
    from shapecnn.evaluation.classification import classify as classify
    from shapecnn.evaluation.classification import reliability as reliability
    from shapecnn.evaluation.compare import compare_contenders as compare_contenders
    from shapecnn.evaluation.compare_results import Comparison as Comparison
    from shapecnn.evaluation.contenders import choose as choose
    from shapecnn.evaluation.evaluate import evaluate_model as evaluate_model
    from shapecnn.evaluation.intervals import mean_interval as mean_interval
    from shapecnn.evaluation.results import Evaluation as Evaluation
    from shapecnn.evaluation.results import PredictionRow as PredictionRow
    from shapecnn.evaluation.results import RankedShape as RankedShape
    from shapecnn.evaluation.settings import EvaluationSettings as EvaluationSettings
    from shapecnn.evaluation.significance import sign_flips as sign_flips

_HOMES = {
    "classification": ["Classification", "calibration_error", "classify", "reliability"],
    "compare": ["compare_contenders"],
    "compare_results": ["Comparison"],
    "contenders": ["choose"],
    "evaluate": ["evaluate_model"],
    "intervals": ["mean_interval"],
    "results": ["Evaluation", "PredictionRow", "RankedShape"],
    "settings": ["EvaluationSettings"],
    "significance": ["sign_flips"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
