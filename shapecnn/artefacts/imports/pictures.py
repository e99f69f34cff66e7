"""Convert pictures of shapes, one PNG or JPEG file for each view, to contact sheets."""

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

from shapecnn.artefacts.maker import ArtefactData
from shapecnn.artefacts.prepare import encode_png
from shapecnn.errors import CollectionError, ItemError, UsageError, counted, reason
from shapecnn.meshes.collection import Shape, list_files, printable
from shapecnn.meshes.labels import SPLITS
from shapecnn.settings.views_and_grids import MOST_VIEWS, ImportedViewSettings
from shapecnn.storage.reading import sha256
from shapecnn.views import contact_sheet
from shapecnn.views.photographs import to_grey

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
EXTENSIONS = frozenset(_FORMATS)
_READABLE = " or ".join(dict.fromkeys(_FORMATS.values()))
# End of a file name, after the name of the shape: ``_001`` in the data of Su et al. (2015), longer in mvcnn_pytorch.
_VIEW = re.compile(r"(?:\.obj\.shaded|\.obj_whiteshaded)?_v?\d+$")
_SAMPLE = 100  # shapes that are read to determine the size of the pictures


Place = tuple[str, str, str]
"""Label, split and name of a shape, in this order."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Rule that derives label, split and shape from the file path of a picture.

    Attributes:
        pattern: Pattern of the paths, such as ``split/class/id/*.png``; error messages quote it.
        depth: Number of path parts that the pattern describes, such as 4 for ``split/class/id/*.png``.
        places: Function that takes these parts of a path and returns label, split and name of the shape.
    """

    pattern: str
    depth: int
    places: Callable[..., Place]

    def place(self, parts: tuple[str, ...]) -> Place | None:
        """Derive the label, the split and the name of a shape from the path of one of its pictures.

        Args:
            parts: Parts of the picture's path; only the last :attr:`depth` count.

        Returns:
            Label, split and name of the shape; None if the path does not fit the pattern.
        """
        place = self.places(*parts[-self.depth :]) if len(parts) >= self.depth else None
        return place if place and place[1] in SPLITS else None


BY_SHAPE = Arrangement("split/class/id/*.png", 4, lambda split, label, name, _: (label, split, name))
BY_NAME = Arrangement(
    "class/split/name_001.png", 3, lambda label, split, file: (label, split, _VIEW.sub("", PurePosixPath(file).stem))
)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files of one shape, with its label and split.

    Attributes:
        id: Path of the contact sheet in the artefact folder: ``class/split/name.png``.
        label: Class name.
        split: ``train``, ``val`` or ``test``.
        files: The picture files in the order of views.
    """

    id: str
    label: str
    split: str
    files: tuple[Shape, ...]

    @property
    def path(self) -> str:
        """Path of the first picture of the shape, for error messages."""
        return self.files[0].path


@dataclass(frozen=True, slots=True)
class SheetMaker:
    """Object that joins the imported pictures of a shape to one contact sheet.

    Implements :class:`shapecnn.artefacts.maker.Maker`.

    Attributes:
        settings: Number and size of the views.
    """

    settings: ImportedViewSettings

    @property
    def measures(self) -> bool:
        """Whether area and volume are recorded: always False, because the sources are not meshes."""
        return False

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``: settings of the views, hash of the settings, and file layout."""
        return {"schema_version": 1, **self.settings.to_json(), "layout": "sheet"}

    def open(self, item: Pictures) -> tuple[str, Callable[[], ArtefactData]]:
        """Read the picture files of one shape.

        Args:
            item: The picture files, one for each view.

        Returns:
            SHA-256 (hex) of the concatenated files, and a function that arranges the views in one picture, the contact
            sheet. The function may raise ItemError.

        Raises:
            ItemError: A view is missing or occurs twice, or a file cannot be read.
        """
        for file, following in itertools.pairwise(item.files):
            if (number := _number(file)) is not None and number == _number(following):
                both = f"{Path(file.id).name} and {Path(following.id).name}"
                raise ItemError("count", f"view {number} occurs twice: {both}")
        if len(item.files) != self.settings.views:
            counts = f"{counted(len(item.files), 'picture')}, but most shapes have {self.settings.views}"
            raise ItemError("count", f"the shape has {counts}")
        contents = [_read(file) for file in item.files]
        return sha256(b"".join(contents)), lambda: ArtefactData(self._sheet(item, contents))

    def _sheet(self, item: Pictures, contents: list[bytes]) -> Iterator[bytes]:
        size = self.settings.size
        files = zip(contents, item.files, strict=True)
        pictures = [decode_grey(data, Path(file.id).name, size) for data, file in files]
        yield encode_png(contact_sheet(np.stack(pictures)))


def open_views_by_shape(source: Path) -> tuple[list[Pictures], SheetMaker]:
    """List the pictures in a folder or zip with the layout ``split/class/id/*.png``.

    Args:
        source: A folder, or a zip of a folder.

    Returns:
        The shapes in order of id, which is ``class/split/id.png``, and the object that makes their contact sheets.

    Raises:
        CollectionError: ``source`` contains no pictures, or the path of a picture does not fit the layout.
        UsageError: The pictures cannot be read, or have an unsupported number or size of views.
    """
    return _open(source, BY_SHAPE)


def open_views_by_name(source: Path) -> tuple[list[Pictures], SheetMaker]:
    """List the pictures in a folder or zip with the layout ``class/split/name_001.png``, which the MVCNN authors use.

    Args:
        source: A folder, or a zip of a folder.

    Returns:
        The shapes in order of id, which is ``class/split/name.png``, and the object that makes their contact sheets.

    Raises:
        CollectionError: ``source`` contains no pictures, or the path of a picture does not fit the layout.
        UsageError: The pictures cannot be read, or have an unsupported number or size of views.
    """
    return _open(source, BY_NAME)


def decode_grey(data: bytes, name: str, size: int) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG file as a greyscale picture.

    Args:
        data: Content of a PNG or JPEG file.
        name: Name of the file, for error messages.
        size: Expected width and height in pixels.

    Returns:
        (size, size) uint8, from 0 (black) to 255 (white). Colours are converted to their luma (ITU-R 601), 16-bit
        values are rounded to 8 bits, and transparent pixels are shown on white.

    Raises:
        ItemError: The file is damaged, or the picture has another size.
    """
    with _open_image(data, name) as image:
        if image.size != (size, size):
            raise ItemError(
                "size", f"{name} has {image.width} × {image.height} pixels, but most shapes have {size} × {size}"
            )
        return to_grey(image)


def _open(source: Path, arrangement: Arrangement) -> tuple[list[Pictures], SheetMaker]:
    """Group the pictures in ``source`` by shape, and determine the number and size of the views."""
    pattern, depth = arrangement.pattern, arrangement.depth
    shapes = defaultdict(list)
    roots = set()
    for file in list_files(source, EXTENSIONS):
        parts = PurePosixPath(printable(file.id)).parts
        place = arrangement.place(parts)
        if place is None:
            raise CollectionError(
                f"{source} does not have the layout {pattern}: {file.id} does not fit "
                f"(the split must be one of {', '.join(SPLITS)})."
            )
        roots.add(parts[:-depth])
        shapes[place].append(file)
    if not shapes:
        raise CollectionError(f"{source} holds no pictures with paths like {pattern}.")
    if len(roots) > 1:
        raise CollectionError(f"{source} has {len(roots)} folders with the layout {pattern}: import one at a time.")
    items = [
        Pictures(f"{label}/{split}/{name}.png", label, split, tuple(sorted(files, key=_order)))
        for (label, split, name), files in shapes.items()
    ]
    items.sort(key=lambda item: item.id)
    return items, SheetMaker(_survey(items, source))


def _survey(items: list[Pictures], source: Path) -> ImportedViewSettings:
    """Return the most frequent number of views per shape, and the most frequent picture size of the first shapes."""
    views = Counter(len(item.files) for item in items).most_common(1)[0][0]
    if views > MOST_VIEWS:
        raise UsageError(
            f"Most shapes of {source} have {views} pictures. At most {MOST_VIEWS} are allowed: leave some out."
        )
    sizes: Counter[tuple[int, int]] = Counter()
    for item in items:
        try:
            with _open_image(_read(item.files[0]), item.id) as image:
                sizes[image.size] += 1
        except ItemError:
            continue
        if sizes.total() == _SAMPLE:
            break
    if not sizes:
        raise UsageError(f"None of the pictures of {source} can be read as {_READABLE}.")
    (width, height), _ = sizes.most_common(1)[0]
    if width != height:
        raise UsageError(f"Most pictures of {source} have {width} × {height} pixels. Views must be square.")
    return ImportedViewSettings.from_options(views=views, size=width)


@contextmanager
def _open_image(data: bytes, name: str) -> Iterator[Image]:
    """Open a picture file without decoding it; errors inside the ``with`` block become ItemErrors."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as DecompressionBombWarning
            with Image.open(io.BytesIO(data), formats=[*_FORMATS.values()]) as image:
                yield image
    except ItemError:
        raise
    except Exception as error:  # on arbitrary input, a decoder can raise any exception
        raise ItemError("format", f"{name} cannot be read as {_READABLE}: {reason(error)}") from None


def _read(file: Shape) -> bytes:
    """Read the content of a picture file, and name the file in the message of any ItemError."""
    try:
        return file.read()
    except ItemError as error:
        raise ItemError(error.kind, f"{Path(file.id).name}: {error}") from None


def _order(file: Shape) -> tuple[int, str]:
    """Return the sort key of a picture: its view number, so that view 2 comes before view 10."""
    return _number(file) or 0, file.id


def _number(file: Shape) -> int | None:
    """Return the view number of a picture (the digits at the end of its file name), or None without digits."""
    number = re.search(r"\d{1,18}$", PurePosixPath(file.id).stem)
    return int(number[0]) if number else None
