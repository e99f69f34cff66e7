"""What made the features of an index: a model, remembered well enough to be told from every other and found again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.run import open_run
from shapecnn.models.untrained import ImagenetSettings, UntrainedModel
from shapecnn.settings.artefacts import Orientation, Up, require_current, require_same
from shapecnn.settings.core import settings_hash


@dataclass(frozen=True, slots=True)
class Origin:
    """model: ``@imagenet``, or the absolute path of a run.  settings: all that decides the features, ``up`` of the
    collection's meshes and the faces they were simplified to included, with a ``hash`` of it; where the run is decides
    nothing."""

    model: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, model: Model, up: Up, simplify: int | None = None) -> Origin:
        """That of features which ``model`` computes of meshes with this ``up``, simplified to so many faces; @imagenet
        has both in its settings."""
        described = {"up": up} | ({"simplify": simplify} if simplify else {}) | model.to_json()
        del described["hash"]
        if model.input.imported:  # its own settings do not say how we draw or fill for it
            described |= model.input.drawing().version()
        name = os.path.abspath(model.name) if described["kind"] == "run" else model.name
        return cls(name, {**described, "hash": settings_hash(described)})

    @classmethod
    def read(cls, model: Any, settings: Any) -> Origin:
        """One as it was stored.  Raises ValueError for what cannot be one."""
        if not isinstance(model, str) or not model.isprintable() or len(model) > 4096 or not isinstance(settings, dict):
            raise ValueError("it does not say what made it")
        described = {key: value for key, value in settings.items() if key != "hash"}
        kinds = {"imagenet": {}, "run": {"weights": str, "network": dict, "input": dict}}
        wanted = {"kind": str, "up": str, **kinds.get(str(settings.get("kind")), {"known": str})}
        if settings.get("hash") != settings_hash(described) or any(
            not isinstance(settings.get(key), kind) for key, kind in wanted.items()
        ):
            raise ValueError("its settings are no model's")
        return cls(model, settings)

    @property
    def up(self) -> Up:
        """Which axis is up in the meshes of the collection."""
        up: Up = self.settings["up"]
        return up

    @property
    def simplify(self) -> int | None:
        """To how many faces meshes of the collection that had more were simplified; None: as the model does."""
        simplify: int | None = self.settings.get("simplify")
        return simplify

    @property
    def orientation(self) -> Orientation:
        """How the meshes of the collection were turned."""
        seen = self.settings["input"] if self.settings["kind"] == "run" else self.settings
        orientation: Orientation = seen.get("orientation", "upright")  # others' pictures and grids have none
        return orientation

    @property
    def description(self) -> str:
        """The model, for people."""
        if self.settings["kind"] == "run":
            compared = ", compared by its metric" if "metric" in self.settings else ""
            return f"{self.settings['network']['kind']} trained in {self.model}{compared}"
        adapted = ", adapted to the collection" if self.settings.get("adapt") else ""
        return "{backbone}, {views} views pooled by {pooling}".format_map(self.settings) + adapted

    def model_settings(self) -> dict[str, Any]:
        """Those of @imagenet that a person chose; those that number versions are left to the present one."""
        return {key: value for key, value in self.settings.items() if key not in ("hash", "kind", "drawing")}

    def require(self, stored: Origin, where: str, remedy: str) -> None:
        """Raise MismatchError, which ends with ``remedy``, unless ``stored``, that of ``where``, is the same."""
        if stored._identity != self._identity:
            raise MismatchError(f"{where} was made with {stored._named} and not with {self._named}. {remedy}")
        require_current(stored._version, where, remedy)
        require_same(self.settings, stored.settings, where, remedy)

    def open(self, where: Path, run: str | None = None) -> Model:
        """The model again, to ask the index at ``where``.  run: where it is now, if it has moved.

        Raises MismatchError if another one is there, or an earlier version of shapecnn made the index and saw meshes
        otherwise, UsageError if there is no model, StoredDataError if it is damaged or of another version.
        """
        again = f"Make it anew: shapecnn index COLLECTION INDEX --model {shlex.quote(self.model)} --up {self.up}"
        require_current(self._version, str(where), again)
        model = self._found(where) if run is None else resolve_model(run)
        if "metric" in self.settings and Origin.of(model, self.up, self.simplify)._identity == self._identity:
            model = model.compared_by("metric")
        if self.settings["kind"] != "run" and run is not None:
            remedy = "Leave out --model."
        else:
            moved = "If that run is elsewhere now, say where: --model RUN."
            remedy = f"{moved} Else index the collection again, in a new folder."
        Origin.of(model, self.up, self.simplify).require(self, str(where), remedy)
        return model

    def _found(self, where: Path) -> Model:
        if self.settings["kind"] == "run":
            try:
                return open_run(Path(self.model))
            except UsageError:
                raise UsageError(
                    f"{where} was made with the run {self.model}, and there is none now. If it has moved, say where "
                    f"it is: --model RUN"
                ) from None
        try:
            kept = {key: value for key, value in self.settings.items() if key != "hash"}
            return UntrainedModel(ImagenetSettings.from_options(**kept))
        except UsageError as error:
            raise StoredDataError(
                f"{where} is of another version of shapecnn ({error}). Index the collection again, in a new folder."
            ) from None

    @property
    def _version(self) -> Mapping[str, Any]:
        """Settings that say how the version that made the index drew or filled."""
        seen: dict[str, Any] = self.settings.get("input", self.settings)
        if seen.get("origin") != "imported":
            return seen
        key = "drawing" if seen.get("kind") == "views" else "filling"
        return {key: self.settings.get(key, 1)}  # version 1 did not say

    @property
    def _identity(self) -> tuple[str, str]:
        """The model but for its settings."""
        kind = self.settings["kind"]
        return kind, self.settings["weights"] if kind == "run" else ""

    @property
    def _named(self) -> str:
        kind, weights = self._identity
        return f"{self.model} (weights {weights[:8]})" if kind == "run" else self.model
