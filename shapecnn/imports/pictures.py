"""View pictures that others made of shapes: one PNG file for each view."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts import Drawn
from shapecnn.collection import Shape, list_files, printable
from shapecnn.config import MOST_VIEWS, ImportedViewSettings
from shapecnn.errors import CollectionError, ItemError, UsageError, reason
from shapecnn.labels import SPLITS
from shapecnn.pictures import to_grey
from shapecnn.prepare import png
from shapecnn.storage import sha256
from shapecnn.views import contact_sheet

if TYPE_CHECKING:
    from PIL.Image import Image

_SURVEYED = 100  # shapes that are looked at to learn the size of the pictures


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one shape, in the order of views."""

    id: str
    label: str
    split: str
    files: tuple[Shape, ...]

    @property
    def path(self) -> str:
        """The first of its files, for people."""
        return self.files[0].path


@dataclass(frozen=True, slots=True)
class Sheets:
    """Pictures become contact sheets; see :class:`shapecnn.artefacts.Maker`."""

    settings: ImportedViewSettings

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``."""
        return {"schema_version": 1, **self.settings.to_json(), "layout": "sheet"}

    def open(self, item: Pictures) -> tuple[str, Callable[[], Drawn]]:
        """SHA-256 of the files of all views one after the other, and what makes the sheet.  Raises ItemError."""
        if len(item.files) != self.settings.views:
            counts = f"{len(item.files)} pictures where most shapes have {self.settings.views}"
            raise ItemError("count", f"it has {counts}")
        contents = [_read(file) for file in item.files]
        return sha256(b"".join(contents)), lambda: Drawn(self._sheet(item, contents))

    def _sheet(self, item: Pictures, contents: list[bytes]) -> Iterator[bytes]:
        size = self.settings.size
        pictures = [grey(data, Path(file.id).name, size) for data, file in zip(contents, item.files, strict=True)]
        yield png(contact_sheet(np.stack(pictures)))


def open_views_by_shape(source: Path) -> tuple[list[Pictures], Sheets]:
    """The shapes of ``split/class/id/*.png``, a folder or a zip of one, with ids ``class/split/id.png``.

    Raises CollectionError if there are none, UsageError if they have no number or size of views that is possible.
    """
    return _open(source, "split/class/id/*.png", 4, lambda split, label, name, _: (label, split, name))


def open_views_by_name(source: Path) -> tuple[list[Pictures], Sheets]:
    """The shapes of ``class/split/name_001.png``, the layout of mvcnn_pytorch, with ids ``class/split/name.png``.

    Raises as :func:`open_views_by_shape` does.
    """

    def describe(label: str, split: str, file: str) -> tuple[str, str, str]:
        return label, split, re.sub(r"_\d+$", "", PurePosixPath(file).stem)

    return _open(source, "class/split/name_001.png", 3, describe)


def grey(data: bytes, name: str, size: int) -> NDArray[np.uint8]:
    """The PNG file in ``data`` as (size, size) uint8: colours by their luma (ITU-R 601), 16 bits rounded to 8,
    transparency over white.

    Raises ItemError if it is damaged or has another size.
    """
    with _opened(data, name) as image:
        if image.size != (size, size):
            raise ItemError(
                "size", f"{name} has {image.width} × {image.height} pixels where most shapes have {size} × {size}"
            )
        return to_grey(image)


def _open(
    source: Path, pattern: str, depth: int, describe: Callable[..., tuple[str, str, str]]
) -> tuple[list[Pictures], Sheets]:
    """The pictures below ``source`` by shape; ``describe`` makes (label, split, name) of the last ``depth`` parts."""
    shapes = defaultdict(list)
    roots = set()
    for file in list_files(source, {".png"}):
        parts = PurePosixPath(printable(file.id)).parts
        label, split, name = describe(*parts[-depth:]) if len(parts) >= depth else ("", "", "")
        if split not in SPLITS:
            raise CollectionError(
                f"{source} is not {pattern}: {file.id} lies elsewhere (a split is {', '.join(SPLITS)})."
            )
        roots.add(parts[:-depth])
        shapes[label, split, name].append(file)
    if not shapes:
        raise CollectionError(f"{source} holds no pictures ({pattern}).")
    if len(roots) > 1:
        raise CollectionError(f"{source} holds {pattern} in {len(roots)} folders: import one at a time.")
    items = [
        Pictures(f"{label}/{split}/{name}.png", label, split, tuple(sorted(files, key=_order)))
        for (label, split, name), files in shapes.items()
    ]
    items.sort(key=lambda item: item.id)
    return items, Sheets(_survey(items, source))


def _survey(items: list[Pictures], source: Path) -> ImportedViewSettings:
    """What most shapes have: their number of pictures, and of the first that can be read the size."""
    views = Counter(len(item.files) for item in items).most_common(1)[0][0]
    if views > MOST_VIEWS:
        raise UsageError(f"Most shapes of {source} have {views} pictures; a shape may have {MOST_VIEWS}.")
    sizes: Counter[tuple[int, int]] = Counter()
    for item in items:
        try:
            with _opened(_read(item.files[0]), item.id) as image:
                sizes[image.size] += 1
        except ItemError:
            continue
        if sizes.total() == _SURVEYED:
            break
    if not sizes:
        raise UsageError(f"None of the pictures of {source} can be read as PNG.")
    (width, height), _ = sizes.most_common(1)[0]
    if width != height:
        raise UsageError(f"Most pictures of {source} have {width} × {height} pixels; views are square.")
    return ImportedViewSettings.from_options(views=views, size=width)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image]:
    """The PNG file in ``data``, not yet decoded; what is wrong with it, then or later, is an ItemError."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as one about a picture too large to be true
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                yield image
    except ItemError:
        raise
    except Exception as error:  # a decoder fed with anything raises anything
        raise ItemError("format", f"{name} cannot be read as PNG: {reason(error)}") from None


def _read(file: Shape) -> bytes:
    """The bytes of one picture.  Raises ItemError with its name."""
    try:
        return file.read()
    except ItemError as error:
        raise ItemError(error.kind, f"{Path(file.id).name}: {error}") from None


def _order(file: Shape) -> tuple[int, str]:
    """By the number at the end of the name, so that view 2 stands before view 10."""
    number = re.search(r"\d+$", PurePosixPath(file.id).stem)
    return int(number[0]) if number else 0, file.id
