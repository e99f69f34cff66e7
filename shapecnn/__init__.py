"""3D shape recognition with multi-view and volumetric convolutional networks.

A mesh is drawn as 12 views or filled into an occupancy grid of 30³ cells. A network computes class scores
and a feature vector from the views or the grid. Features serve for similarity search and evaluation::

    mesh file ── load_mesh ──> mesh ──┬── draw_views ──> views ──┐
                                      └── voxelize ────> grid ───┴── network ──> feature ──┬── open_model: classes
                                                                                           ├── open_index: search
                                                                                           └── evaluate: accuracy, mAP

This module is the Python interface, and docs/python.md is its tutorial. ``shapecnn --help`` describes the command line,
which offers the same functions. Each name is imported when it is first used, so ``import shapecnn`` takes milliseconds.

Example:
    >>> import shapecnn
    >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
    >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    >>> shapecnn.draw_views(tetrahedron)
    <Views: 12 of 224 × 224 pixels>
"""

TYPE_CHECKING = False  # type checkers treat this name as True

if TYPE_CHECKING:
    from shapecnn import errors as errors
    from shapecnn.api.artefacts import prepare as prepare
    from shapecnn.api.evaluation import compare as compare
    from shapecnn.api.evaluation import evaluate as evaluate
    from shapecnn.api.explanations import Explanations as Explanations
    from shapecnn.api.explanations import explain as explain
    from shapecnn.api.filters import learned_filters as learned_filters
    from shapecnn.api.indexes import open_index as open_index
    from shapecnn.api.indexes import update_index as update_index
    from shapecnn.api.ladder import climb_ladder as climb_ladder
    from shapecnn.api.merging import Merged as Merged
    from shapecnn.api.merging import merge as merge
    from shapecnn.api.models import open_model as open_model
    from shapecnn.api.shapes import Grids as Grids
    from shapecnn.api.shapes import Views as Views
    from shapecnn.api.shapes import draw_views as draw_views
    from shapecnn.api.shapes import load_mesh as load_mesh
    from shapecnn.api.shapes import voxelize as voxelize
    from shapecnn.api.training import find_step as find_step
    from shapecnn.api.training import train as train
    from shapecnn.artefacts.reading import Artefacts as Artefacts
    from shapecnn.artefacts.reading import open_artefacts as open_artefacts
    from shapecnn.artefacts.writing import Summary as Summary
    from shapecnn.card import model_card as model_card
    from shapecnn.evaluation.compare_results import Comparison as Comparison
    from shapecnn.evaluation.priors import ClassPrior as ClassPrior
    from shapecnn.evaluation.results import Evaluation as Evaluation
    from shapecnn.evaluation.settings import EvaluationSettings as EvaluationSettings
    from shapecnn.explanation import Explanation as Explanation
    from shapecnn.filters.results import LearnedFilters as LearnedFilters
    from shapecnn.information.description import Description as Description
    from shapecnn.information.description import describe as describe
    from shapecnn.ladder.climbing import Ladder as Ladder
    from shapecnn.meshes.mesh import Mesh as Mesh
    from shapecnn.predict import Features as Features
    from shapecnn.predict import Prediction as Prediction
    from shapecnn.predict import Predictions as Predictions
    from shapecnn.predict import Predictor as Predictor
    from shapecnn.search.changes import IndexChanges as IndexChanges
    from shapecnn.search.query import Answers as Answers
    from shapecnn.search.query import Searcher as Searcher
    from shapecnn.settings.views_and_grids import FaceLimit as FaceLimit
    from shapecnn.settings.views_and_grids import ViewSettings as ViewSettings
    from shapecnn.settings.views_and_grids import VoxelSettings as VoxelSettings
    from shapecnn.training.result import TrainingResult as TrainingResult
    from shapecnn.training.step_results import StepSearch as StepSearch
    from shapecnn.workers.pool import Workers as Workers

__version__ = "0.1.0"

_HOMES = {
    "api.artefacts": ("prepare",),
    "api.evaluation": ("compare", "evaluate"),
    "api.explanations": ("Explanations", "explain"),
    "api.filters": ("learned_filters",),
    "api.indexes": ("open_index", "update_index"),
    "api.ladder": ("climb_ladder",),
    "api.merging": ("Merged", "merge"),
    "api.models": ("open_model",),
    "api.shapes": ("Grids", "Views", "draw_views", "load_mesh", "voxelize"),
    "api.training": ("find_step", "train"),
    "artefacts.reading": ("Artefacts", "open_artefacts"),
    "artefacts.writing": ("Summary",),
    "card": ("model_card",),
    "evaluation.compare_results": ("Comparison",),
    "evaluation.results": ("Evaluation",),
    "evaluation.priors": ("ClassPrior",),
    "evaluation.settings": ("EvaluationSettings",),
    "explanation": ("Explanation",),
    "filters.results": ("LearnedFilters",),
    "information.description": ("Description", "describe"),
    "ladder.climbing": ("Ladder",),
    "meshes.mesh": ("Mesh",),
    "predict": ("Features", "Prediction", "Predictions", "Predictor"),
    "search.changes": ("IndexChanges",),
    "search.query": ("Answers", "Searcher"),
    "settings.views_and_grids": ("FaceLimit", "ViewSettings", "VoxelSettings"),
    "training.result": ("TrainingResult",),
    "training.step_results": ("StepSearch",),
    "workers.pool": ("Workers",),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name
    # This file imports nothing at its top: `python -m shapecnn` runs it before the current folder is off sys.path.
    def __getattr__(name):
        """Import the module that defines a public name when the name is first used (PEP 562)."""
        from importlib import import_module

        if name == "errors":
            return import_module("shapecnn.errors")
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"shapecnn.{home}"), name)
        raise AttributeError(f"module 'shapecnn' has no attribute {name!r}")

    def __dir__():
        """List the public names, including names that are not loaded yet."""
        return ["errors", *__all__]
