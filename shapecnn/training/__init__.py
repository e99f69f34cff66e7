"""Train a network on rendered views or voxel grids in one or more stages; validate, calibrate and save the network.

An :class:`shapecnn.settings.experiment.Experiment` holds the settings. The trained network is saved in a folder, called
a run, and :class:`TrainingResult` describes the run. :mod:`plan` pairs an experiment with its data, :mod:`trainer`
executes a plan and :mod:`session` its stages. :mod:`descent` trains by gradient descent, and :mod:`resume` saves
the state between epochs.
:mod:`calibration` fits the temperature and the threshold for unknown shapes, :mod:`metric` learns a retrieval metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.training.metric import learn_metric as learn_metric
    from shapecnn.training.plan import Plan as Plan
    from shapecnn.training.plan import is_finished as is_finished
    from shapecnn.training.plan import new_plan as new_plan
    from shapecnn.training.plan import plan_to_resume as plan_to_resume
    from shapecnn.training.plan import stored_plan as stored_plan
    from shapecnn.training.result import TrainingResult as TrainingResult
    from shapecnn.training.trainer import finished_training as finished_training
    from shapecnn.training.trainer import train_plan as train_plan

_HOMES = {
    "metric": ["learn_metric"],
    "plan": ["Plan", "is_finished", "new_plan", "plan_to_resume", "stored_plan"],
    "result": ["TrainingResult"],
    "trainer": ["finished_training", "train_plan"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
