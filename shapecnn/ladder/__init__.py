"""The ladder of a lecture on networks for shapes: from logistic regression to multi-view and volumetric networks.

The lecture is "Introduction to Convolutional Neural Networks" (Kalogerakis). :mod:`rungs` lists its systems, each with
its idea in three sentences, and :mod:`inputs` the views and grids that they read. :mod:`climbing` prepares the input,
trains all of them (:mod:`trainings`), collects filters (:mod:`rung_filters`) and measures all on the same shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.ladder.climbing import Ladder as Ladder
    from shapecnn.ladder.climbing import climb as climb
    from shapecnn.ladder.rungs import RUNGS as RUNGS
    from shapecnn.ladder.rungs import Rung as Rung
    from shapecnn.ladder.rungs import choose_rungs as choose_rungs

_HOMES = {
    "climbing": ["Ladder", "climb"],
    "rungs": ["RUNGS", "Rung", "choose_rungs"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
