"""Models: trained runs, and models without training. A model computes features and class probabilities of shapes.

Opening a model never executes code from its files.
:mod:`model` defines the interface of a model and opens a model by name. :mod:`run` and :mod:`untrained` implement this
interface.
:mod:`input` prepares views or grids, :mod:`engine` runs the network, and :mod:`apply` processes many shapes.
:mod:`comparison` and :mod:`space` compute the similarity of shapes, which :mod:`adapted_space` and, in large indexes,
:mod:`mapped_space` adapt to a collection. :mod:`joined` joins the feature of a network with an engineered descriptor,
for an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.models.apply import MeshEncoder as MeshEncoder
    from shapecnn.models.apply import compute_outputs as compute_outputs
    from shapecnn.models.apply import prepared_meshes as prepared_meshes
    from shapecnn.models.device import require_device as require_device
    from shapecnn.models.engine import Engine as Engine
    from shapecnn.models.engine import open_engine as open_engine
    from shapecnn.models.input import Input as Input
    from shapecnn.models.model import Model as Model
    from shapecnn.models.model import resolve_model as resolve_model
    from shapecnn.models.output import Output as Output
    from shapecnn.models.run import Run as Run
    from shapecnn.models.run import open_run as open_run
    from shapecnn.models.run_files import run_bytes as run_bytes
    from shapecnn.models.untrained import UntrainedModel as UntrainedModel

_HOMES = {
    "apply": ["MeshEncoder", "compute_outputs", "prepared_meshes"],
    "device": ["require_device"],
    "engine": ["Engine", "open_engine"],
    "input": ["Input"],
    "model": ["Model", "resolve_model"],
    "output": ["Output"],
    "run": ["Run", "open_run"],
    "run_files": ["run_bytes"],
    "untrained": ["UntrainedModel"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
