"""View pictures that others made of shapes: one file for each view."""

from __future__ import annotations

import io
import itertools
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

from shapecnn.artefacts.prepare import png
from shapecnn.artefacts.writing import Drawn
from shapecnn.errors import CollectionError, ItemError, UsageError, counted, reason
from shapecnn.meshes.collection import Shape, list_files, printable
from shapecnn.meshes.labels import SPLITS
from shapecnn.settings.artefacts import MOST_VIEWS, ImportedViewSettings
from shapecnn.storage.reading import sha256
from shapecnn.views import contact_sheet
from shapecnn.views.photographs import to_grey

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
EXTENSIONS = frozenset(_FORMATS)
_READABLE = " or ".join(dict.fromkeys(_FORMATS.values()))
# What a view adds to the name of its shape: ``_001`` in Su's data of 2015, the others in mvcnn_pytorch's.
_VIEW = re.compile(r"(?:\.obj\.shaded|\.obj_whiteshaded)?_v?\d+$")
_SURVEYED = 100  # shapes that are looked at to learn the size of the pictures


Place = tuple[str, str, str]
"""Label, split and name of a shape."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where pictures lie.  depth: of a picture's path.  places: what the last so many parts of the path mean."""

    pattern: str
    depth: int
    places: Callable[..., Place]

    def place(self, parts: tuple[str, ...]) -> Place | None:
        """What the path of a picture tells, if it can lie there."""
        place = self.places(*parts[-self.depth :]) if len(parts) >= self.depth else None
        return place if place and place[1] in SPLITS else None


BY_SHAPE = Arrangement("split/class/id/*.png", 4, lambda split, label, name, _: (label, split, name))
BY_NAME = Arrangement(
    "class/split/name_001.png", 3, lambda label, split, file: (label, split, _VIEW.sub("", PurePosixPath(file).stem))
)


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
    """Pictures become contact sheets; see :class:`shapecnn.artefacts.writing.Maker`."""

    settings: ImportedViewSettings

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``."""
        return {"schema_version": 1, **self.settings.to_json(), "layout": "sheet"}

    def open(self, item: Pictures) -> tuple[str, Callable[[], Drawn]]:
        """SHA-256 of the files of all views one after the other, and what makes the sheet.  Raises ItemError."""
        for file, following in itertools.pairwise(item.files):
            if (number := _number(file)) is not None and number == _number(following):
                both = f"{Path(file.id).name} and {Path(following.id).name}"
                raise ItemError("count", f"view {number} is there twice: {both}")
        if len(item.files) != self.settings.views:
            counts = f"{counted(len(item.files), 'picture')} where most shapes have {self.settings.views}"
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
    return _open(source, BY_SHAPE)


def open_views_by_name(source: Path) -> tuple[list[Pictures], Sheets]:
    """The shapes of ``class/split/name_001.png``, as the MVCNN authors lay them out, with ids ``class/split/name.png``.

    Raises as :func:`open_views_by_shape` does.
    """
    return _open(source, BY_NAME)


def grey(data: bytes, name: str, size: int) -> NDArray[np.uint8]:
    """The picture file in ``data`` as (size, size) uint8: colours by their luma (ITU-R 601), 16 bits rounded to 8,
    transparency over white.

    Raises ItemError if it is damaged or has another size.
    """
    with _opened(data, name) as image:
        if image.size != (size, size):
            raise ItemError(
                "size", f"{name} has {image.width} × {image.height} pixels where most shapes have {size} × {size}"
            )
        return to_grey(image)


def _open(source: Path, arrangement: Arrangement) -> tuple[list[Pictures], Sheets]:
    """The pictures below ``source`` by shape."""
    pattern, depth = arrangement.pattern, arrangement.depth
    shapes = defaultdict(list)
    roots = set()
    for file in list_files(source, EXTENSIONS):
        parts = PurePosixPath(printable(file.id)).parts
        place = arrangement.place(parts)
        if place is None:
            raise CollectionError(
                f"{source} is not {pattern}: {file.id} lies elsewhere (a split is {', '.join(SPLITS)})."
            )
        roots.add(parts[:-depth])
        shapes[place].append(file)
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
        raise UsageError(f"None of the pictures of {source} can be read as {_READABLE}.")
    (width, height), _ = sizes.most_common(1)[0]
    if width != height:
        raise UsageError(f"Most pictures of {source} have {width} × {height} pixels; views are square, one to a file.")
    return ImportedViewSettings.from_options(views=views, size=width)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image]:
    """The picture file in ``data``, not yet decoded; what is wrong with it, then or later, is an ItemError."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as one about a picture too large to be true
            with Image.open(io.BytesIO(data), formats=[*_FORMATS.values()]) as image:
                yield image
    except ItemError:
        raise
    except Exception as error:  # a decoder fed with anything raises anything
        raise ItemError("format", f"{name} cannot be read as {_READABLE}: {reason(error)}") from None


def _read(file: Shape) -> bytes:
    """The bytes of one picture.  Raises ItemError with its name."""
    try:
        return file.read()
    except ItemError as error:
        raise ItemError(error.kind, f"{Path(file.id).name}: {error}") from None


def _order(file: Shape) -> tuple[int, str]:
    """By the number at the end of the name, so that view 2 stands before view 10."""
    return _number(file) or 0, file.id


def _number(file: Shape) -> int | None:
    """Which view it is, by the number at the end of its name."""
    number = re.search(r"\d{1,18}$", PurePosixPath(file.id).stem)
    return int(number[0]) if number else None
