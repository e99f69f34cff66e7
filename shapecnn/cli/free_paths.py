"""Choose paths for new outputs, so that a suggested command replaces nothing that someone else wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from shapecnn.errors import ShapecnnError

_REPORTS = {"report": "evaluation.json", "audit": "audit.json", "comparison": "comparison.json"}


def beside(path: Path, name: str) -> str:
    """Return the path of a folder beside another one, such as ``views-run`` for ``views`` and ``run``.

    Args:
        path: A folder, zip or CSV file.
        name: What the folder is for.

    Example:
        >>> beside(Path("shapes.zip"), "views"), beside(Path("."), "views")
        ('shapes-views', 'views')
    """
    from shapecnn.storage.objects.url import Url

    if isinstance(path, Url) and not path.key:  # a whole bucket: what stands beside it is another bucket
        return str(path / name)
    stem = path.with_suffix("") if path.suffix.lower() in (".zip", ".csv") else path
    return str(stem.with_name(f"{stem.name}-{name}")) if stem.name else name


def free_file(name: str) -> str:
    """Return the name of a file in the current folder: ``name``, or a numbered one if that file is someone else's.

    Args:
        name: Name of a page or a picture.
    """
    return _free(name, may_be_written, Path(name).suffix)


def free_report(path: Path, name: str) -> str:
    """Return the path of a folder for a report, as :func:`beside`; a numbered one if that folder holds other files.

    Args:
        path: Path beside which the report stands.
        name: ``report``, ``audit`` or ``comparison``.
    """
    from shapecnn.storage.objects.url import Url
    from shapecnn.storage.own import require_report

    if isinstance(path, Url):  # reports are written on this machine
        path = Path(path.name)
    return _free(beside(path, name), lambda folder: _passes(require_report, _REPORTS[name], folder))


def free_run(data: Path) -> str:
    """Return the path of a folder beside ``data`` that does not exist: a run is not trained again with other data.

    Args:
        data: Folder of the artefacts to train on.
    """
    return _free(beside(data, "run"), _is_new)


def free_artefacts(path: Path, name: str) -> str:
    """Return the path of a folder for artefacts, as :func:`beside`; a numbered one if that folder holds other files.

    Args:
        path: Collection beside which the artefacts stand.
        name: ``views`` or ``grids``.
    """
    from shapecnn.storage.own import require_own

    return _free(beside(path, name), lambda folder: _is_new(folder) or _passes(require_own, "settings.json", folder))


def free_index(data: Path) -> str:
    """Return the path of a folder beside ``data`` that does not exist or holds an index, which is then updated.

    Args:
        data: Path beside which the index stands.
    """
    return _free(beside(data, "index"), _may_be_index)


def may_be_written(path: Path) -> bool:
    """Return whether a command writes this file without ``--overwrite``, because nobody else wrote it.

    Args:
        path: Path of a page or a picture.
    """
    from shapecnn.storage.files import require_file

    return _passes(require_file, path)


def _is_new(path: Path) -> bool:
    from shapecnn.storage.kinds import kind_of
    from shapecnn.storage.objects.url import Url

    if not isinstance(path, Url):
        return not os.path.lexists(path)
    try:
        return kind_of(path) is None
    except ShapecnnError:  # the store does not answer, and this is only a suggestion
        return True


def _may_be_index(path: Path) -> bool:
    from shapecnn.storage.kinds import kind_of

    return _is_new(path) or kind_of(path) == "index"


def _passes(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except (ShapecnnError, OSError):
        return False
    return True


def _free(path: str, is_free: Callable[[Path], bool], suffix: str = "") -> str:
    """Return the first free path of ``path``, ``path-2``, ``path-3`` and so on; the numbers stand before a suffix."""
    from shapecnn.storage.objects.url import as_path

    numbered = (f"{path.removesuffix(suffix)}-{number}{suffix}" for number in range(2, 100))
    return next((each for each in chain([path], numbered) if is_free(as_path(each))), path)
