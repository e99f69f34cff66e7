"""What is told between the counted parts of long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.meshes.collection import list_shapes
from shapecnn.settings.validation import Validation
from shapecnn.storage.own import require_unchanged
from shapecnn.training.splits import divide
from shapecnn.workers.progress import Progress, listen
from tests.training.data import VIEWS, collection, experiment, pictures, run, write_artefacts


def told_stages(work: Callable[[], object]) -> dict[str, tuple[int, int | None] | None]:
    """Each stage of some work, and the last of its counts."""
    told: dict[str, tuple[int, int | None] | None] = {}

    @contextmanager
    def listener(name: str, unit: str) -> Iterator[Progress]:
        told[name] = None
        yield lambda done, total: told.update({name: (done, total)})

    listen(listener)
    try:
        work()
    finally:
        listen()
    return told


def test_what_comes_before_the_counted_work_is_told(tmp_path: Path, solids: Path) -> None:
    """It was silent but for "Working", however long the listing of a share or the hashing of a million files took."""
    assert told_stages(lambda: list_shapes(solids)) == {f"Listing {solids}": None}
    checked = told_stages(lambda: require_unchanged(tmp_path / "out", ["a.png", "b.png"]))
    assert checked == {f"Checking the files in {tmp_path / 'out'}": (3, 3)}


def test_the_search_for_copies_before_a_training_is_counted(tmp_path: Path) -> None:
    names = (f"{kind}/train/{k}.off" for kind in ("bar", "block") for k in range(3))
    views = open_artefacts(
        write_artefacts(tmp_path, VIEWS, {name: pictures(name.split("/")[0], int(name[-5])) for name in names})
    )
    told = told_stages(lambda: divide(views, list(views.entries), Validation(folds=2)))
    assert told == {"Looking for copies": (6, 6)}


def test_the_end_of_a_training_is_counted(tmp_path: Path) -> None:
    """Fitting, measuring and calibrating took minutes under the name of what came before them."""
    data = write_artefacts(tmp_path / "views", VIEWS, collection(pictures, train=14, test=0))
    settings = experiment({"kind": "lda", "name": "closed"}, validation={"folds": 0, "select": "last"})
    told = told_stages(lambda: run(settings, data, tmp_path / "run"))
    assert told["Training stage closed"] is None
    assert told["Computing scores and features"] == (42, 42)
    assert told["Computing features"] == (42, 42)
    assert told["Calibrating by cross-validation"] == (5, 5)
    assert "Measuring the trained network" in told
