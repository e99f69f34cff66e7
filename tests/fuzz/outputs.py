"""Output folders in which somebody has put things: whatever a command does there, what is theirs stays as it was.

What is theirs is told here by what was put there, not by how shapecnn tells it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hypothesis import strategies as st

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.errors import ShapecnnError
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.files import write_page
from shapecnn.storage.own import COMPANIONS, publish_report, require_report
from shapecnn.storage.publishing import LOCK
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import MARK, RESUME, STAGED, WORK, WORKS, claim
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress
from tests.fuzz.checks import refused, require
from tests.fuzz.seeds import PYRAMID

REPORT = "evaluation.json"
LETTER = b"dear"
ONE = Workers(1)


Act = Callable[[Path, bool, Progress], object]
"""Given OUT, whether to overwrite, and who is told how many meshes are done."""


def _draw(settings: ViewSettings | VoxelSettings) -> Act:
    return lambda out, overwrite, progress: prepare_collection(
        _meshes(), out, Recipe(settings), command="shapecnn …", overwrite=overwrite, workers=ONE, progress=progress
    )


def _index(out: Path, overwrite: bool, progress: Progress) -> None:
    """Of meshes that cannot be used, which need no network."""
    bring_up_to_date(
        _meshes("OFF"),
        out,
        IndexPlan.of(UntrainedModel.of()),
        command="…",
        overwrite=overwrite,
        workers=ONE,
        progress=progress,
    )


def _report(out: Path, overwrite: bool, progress: Progress) -> None:
    require_report(REPORT, out, overwrite)
    progress(0, 1)
    publish_report(REPORT, out, {REPORT: b"{}", "report.html": b"<html>", "pr.svg": b"<svg>"}, overwrite)


def _page(out: Path, overwrite: bool, progress: Progress) -> None:
    write_page(out / "page.html", "<html>", overwrite)


ACTIONS: Mapping[str, Act] = {
    "render": _draw(ViewSettings(size=8, samples=1)),
    "voxelize": _draw(VoxelSettings(resolution=6, padding=0)),
    "index": _index,
    "report": _report,
    "page": _page,
}
_SETTLED = ("settings.json", "manifest.parquet", "SHA256SUMS")
OWN = {
    "render": (*_SETTLED, "c/a.png", "c/b.png", "d/a.png"),
    "voxelize": (*_SETTLED, "c/a.binvox", "c/b.binvox", "d/a.binvox"),
    "index": ("index.json", *COMPANIONS["index.json"], "SHA256SUMS"),
    "report": (REPORT, "report.html", "pr.svg", *COMPANIONS[REPORT], "SHA256SUMS"),
    "page": ("page.html",),
}
"""What each action writes, or its like of more shapes wrote."""

_INSIDE = ("journal.jsonl", "journal.tmp", MARK, "SHA256SUMS", "letter", "settings.json", REPORT)
ANYWHERE = (
    "notes.txt", "c", "c/notes.txt", "d", "e/f.txt", "tensorboard/run", ".DS_Store", "manifest.parquet", "model.json",
    "index.json", "settings.json", "config.yaml", LOCK, *WORKS,
    *(f"{work}/{name}" for work in WORKS for name in _INSIDE),
)  # fmt: skip


def _socket(place: Path, _: Path) -> None:
    here = os.open(place.parent, os.O_RDONLY)  # the name of a socket may have a hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{place.name}")
    finally:
        os.close(here)


def _folder(place: Path, _: Path) -> None:
    place.mkdir()
    (place / "letter").write_bytes(LETTER)


def _damage(place: Path, _: Path) -> None:
    """Another byte in a file that is there; a letter where none is."""
    place.write_bytes(place.read_bytes() + b"!" if place.is_file() else LETTER)


PLANTS: Mapping[str, Callable[[Path, Path], object]] = {
    "a file": lambda place, _: place.write_bytes(LETTER),
    "an empty file": lambda place, _: place.touch(),
    "a folder": _folder,
    "an empty folder": lambda place, _: place.mkdir(),
    "a link to a file": lambda place, outside: place.symlink_to(outside / "letter"),
    "a link to a folder": lambda place, outside: place.symlink_to(outside / "folder"),
    "a link to nothing": lambda place, outside: place.symlink_to(outside / "nothing"),
    "a link to itself": lambda place, _: place.symlink_to(place.name),
    "a link to a device": lambda place, _: place.symlink_to("/dev/null"),
    "a second name of a file": lambda place, outside: os.link(outside / "letter", place),
    "a pipe": lambda place, _: os.mkfifo(place),
    "a socket": _socket,
    "damage": _damage,
}
"""What somebody puts at a place, given a folder of theirs outside."""


@dataclass(frozen=True)
class Situation:
    """begun: what the action left there before, see :func:`_begin`.  planted: places and plants."""

    action: str
    begun: str
    planted: tuple[tuple[str, str], ...]
    overwrite: bool


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    action = draw(st.sampled_from(sorted(ACTIONS)))
    begun = draw(st.sampled_from(["nothing", "an empty folder", "finished", "finished", "unfinished", "committed"]))
    places = st.sampled_from(OWN[action]) | st.sampled_from(ANYWHERE)
    planted = draw(st.lists(st.tuples(places, st.sampled_from(sorted(PLANTS))), min_size=1, max_size=3))
    if action == "page":  # what names a pipe itself waits for its reader, as everything does
        planted = [(place, plant) for place, plant in planted if (place, plant) != ("page.html", "a pipe")]
    return Situation(action, begun, tuple(planted), draw(st.sampled_from([False, False, True])))


def use_output(drawn: Situation, folder: Path) -> str:
    """The action on such a folder: it is done, or refused in a sentence, and what is somebody's stays as it was."""
    out, outside = folder / "out", folder / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "letter").write_bytes(LETTER)
    (outside / "folder" / "letter").write_bytes(LETTER)
    begun = _begun(drawn.action, drawn.begun)
    if begun is not None:
        shutil.copytree(begun, out)
    theirs = [place for place, plant in drawn.planted if _plant(out, place, plant, outside)]
    if not theirs and drawn.action == "page":
        out.mkdir(exist_ok=True)
    before = _state(folder)
    try:
        ACTIONS[drawn.action](out, drawn.overwrite, _idle)
        outcome = "read"
    except ShapecnnError as error:
        outcome = refused(error)
    except OSError as error:  # which the command line tells with its name
        require(error.filename, f"an error of the system without a name: {error}")
        outcome = "refused: system"
    after = _state(folder)
    _check_theirs(drawn, theirs, before, after)
    if outcome == "read":
        _check_done(drawn, out)
    return outcome


State = Mapping[str, tuple[int, int, bytes]]


def _check_theirs(drawn: Situation, theirs: list[str], before: State, after: State) -> None:
    """Raise a Finding if anything changed that nobody may change."""
    for name, was in before.items():
        place = name.removeprefix("out/")
        mine = not any(place == other or place.startswith(f"{other}/") for other in theirs)
        if not name.startswith("out/"):
            require(after.get(name) == was, f"{name}, outside of OUT, is not what it was")
        elif not mine and not _may_go(drawn, place):
            require(after.get(name) == was, f"{place} is not what it was")
    strange = sorted(
        name
        for name, (kind, _, _) in after.items()
        if name not in before and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    )
    require(not strange, f"there is something new that is no file: {strange}")
    beside = sorted(name for name in after if name not in before and not name.startswith("out"))
    require(not beside, f"there is something new outside of OUT: {beside}")


def _may_go(drawn: Situation, place: str) -> bool:
    """Whether what somebody put there may be gone: it is in the way and a person insisted, or lies among unfinished
    work, which says itself that it will be removed."""
    if drawn.overwrite and (place in OWN[drawn.action] or PurePosixPath(place).parts[0] in WORKS):
        return True
    work = PurePosixPath(place).parts[0]
    if work == {"unfinished": WORK, "committed": STAGED}.get(drawn.begun):
        return place != work
    return (work in WORKS, place) == (True, work) or place == f"{work}/{MARK}"


def _check_done(drawn: Situation, out: Path) -> None:
    """Raise a Finding unless all is there that was to be made, and as it was written."""
    if drawn.action == "page":
        return
    sealed = open_sealed(out, "")
    for name in sealed.sums:
        sealed.check(name)
    require(set(OWN[drawn.action][:3]) - {"SHA256SUMS"} <= sealed.sums.keys(), "a file is missing")
    left = [name for name in WORKS if name != RESUME and os.path.lexists(out / name)]
    require(not left, f"unfinished work is left: {left}")


def _plant(out: Path, place: str, plant: str, outside: Path) -> bool:
    """Put something at a place, instead of what is there; False where that cannot be: below a file, or a link."""
    path = out / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.resolve() != path.parent.absolute():
            return False
        if os.path.lexists(path) and (plant != "damage" or not stat.S_ISREG(path.lstat().st_mode)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        PLANTS[plant](path, outside)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return False
    return True


def _state(folder: Path) -> State:
    """Kind, permissions and content of all below, by relative path; nothing is followed. Locks have no content."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            content = b""
            if stat.S_ISLNK(mode):
                content = os.fsencode(path.readlink())
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
            found[path.relative_to(folder).as_posix()] = stat.S_IFMT(mode), stat.S_IMODE(mode), content
    return found


@functools.cache
def _home() -> Path:
    return Path(tempfile.mkdtemp(prefix="shapecnn-fuzz-"))


@functools.cache
def _meshes(content: str = PYRAMID.decode()) -> Path:
    """Three small meshes."""
    folder = _home() / f"meshes-{len(content)}"
    for name in ("c/a.off", "c/b.off", "d/a.off"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@functools.cache
def _begun(action: str, how: str) -> Path | None:
    """A folder as the action leaves it: empty; finished; stopped in its work, or in the midst of its publication."""
    if how == "nothing":
        return None
    out = _home() / action / how
    out.mkdir(parents=True)
    if how == "unfinished":
        with contextlib.suppress(_Stopped):
            ACTIONS[action](out, False, _stop)
    elif how != "an empty folder":
        ACTIONS[action](out, False, _idle)
    if how == "committed" and action != "page":
        claim(out / STAGED)
        for name in ("SHA256SUMS", *open_sealed(out, "").sums):
            if "/" not in name:
                (out / name).rename(out / STAGED / name)
    return out


class _Stopped(Exception):  # noqa: N818
    pass


def _stop(done: int, _: int | None) -> None:
    if done == 2:
        raise _Stopped


def _idle(_done: int, _total: int | None) -> None:
    pass
