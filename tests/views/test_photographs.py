"""Pictures of any mode and size become views; what cannot be used is said in one sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from shapecnn.errors import PictureError
from shapecnn.views.photographs import ENCLOSED, fit_object, on_white, read_picture, shade_outline, to_grey
from tests.conftest import ROOT


def slab(height: int = 120, width: int = 200) -> NDArray[np.uint8]:
    """A grey slab 40 × 80 on white, off the middle, darker at its left end."""
    picture = np.full((height, width), 255, np.uint8)
    picture[10:50, 20:100] = 120
    picture[10:50, 20:60] = 60
    return picture


def extent(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what is not white, ends exclusive."""
    rows, columns = np.flatnonzero((picture < 240).any(axis=1)), np.flatnonzero((picture < 240).any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def saved(path: Path, picture: NDArray[np.generic] | Image.Image, **options: object) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, **options)
    return path


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.5, 0.83, 1.0])
)
def test_the_object_fills_so_much_and_stands_in_the_middle(
    height: int, width: int, above: int, left: int, fill: float
) -> None:
    picture = np.full((above + height + 5, left + width + 9), 255, np.uint8)
    picture[above : above + height, left : left + width] = 100
    fitted = fit_object(picture, 96, fill)
    assert fitted.shape == (96, 96)
    assert fitted.dtype == np.uint8
    top, bottom, first, last = extent(fitted)
    assert max(bottom - top, last - first) == round(fill * 96)
    assert abs((bottom - top) * width - (last - first) * height) <= max(width, height)  # to half a pixel
    assert abs(top - (96 - bottom)) <= 1
    assert abs(first - (96 - last)) <= 1
    assert set(np.unique(fitted)) <= {100, 255}


def test_a_picture_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: a viewer turns it by 90° clockwise
    turned = Image.fromarray(np.rot90(slab()).copy())
    expected = read_picture(saved(tmp_path / "plain.png", slab()), 64, 0.9)
    assert np.array_equal(read_picture(saved(tmp_path / "side.png", turned, exif=exif), 64, 0.9), expected)
    assert not np.array_equal(read_picture(saved(tmp_path / "no.png", turned), 64, 0.9), expected)


def test_every_mode_gives_the_same_view(tmp_path: Path) -> None:
    grey = slab()
    expected = read_picture(saved(tmp_path / "grey.png", grey), 64, 0.9)
    alpha = np.dstack([grey, grey, grey, np.where(grey == 255, 0, 255)]).astype(np.uint8)
    alpha[grey == 255, :3] = 0  # black, were it not transparent
    palette = Image.fromarray(grey).convert("P")
    clear = palette.copy()
    clear.info["transparency"] = 255
    image = Image.fromarray(grey)
    for name, other in {
        "rgb.png": image.convert("RGB"),
        "rgb.bmp": image.convert("RGB"),
        "rgba.png": Image.fromarray(alpha),
        "la.png": Image.fromarray(alpha).convert("LA"),
        "palette.png": palette,
        "palette.gif": palette,
        "clear.png": clear,
        "16.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "16.tif": Image.fromarray(grey.astype(np.uint16) * 257),
        "32.tif": Image.fromarray(grey.astype(np.int32) * 257),
        "webp.webp": (image.convert("RGB")),
        "cmyk.tif": image.convert("RGB").convert("CMYK"),
    }.items():
        options = {"lossless": True} if name.endswith("webp") else {}
        found = read_picture(saved(tmp_path / name, other, **options), 64, 0.9)
        assert np.abs(found.astype(int) - expected).max() <= 1, name
    float32 = read_picture(
        saved(tmp_path / "f.tif", np.where(grey == 255, 1.0, grey / 255).astype(np.float32)), 64, 0.9
    )
    assert extent(float32) == extent(expected)
    two = Image.fromarray(np.where(grey == 255, grey, 0)).convert("1")
    one_bit = read_picture(saved(tmp_path / "1.png", two), 64, 0.9)
    assert extent(one_bit) == extent(expected)


def test_the_noise_of_a_jpeg_does_not_enlarge_the_object(tmp_path: Path) -> None:
    expected = read_picture(saved(tmp_path / "a.png", slab(960, 1600)), 64, 0.9)
    found = read_picture(saved(tmp_path / "a.jpg", slab(960, 1600), quality=40), 64, 0.9)
    assert np.abs(np.subtract(extent(found), extent(expected))).max() <= 3


def test_a_large_picture_is_the_small_one(tmp_path: Path) -> None:
    large = np.kron(slab(), np.ones((20, 20), np.uint8))  # 2400 × 4000
    for name in ("large.png", "large.jpg"):
        found = read_picture(saved(tmp_path / name, large), 64, 0.9)
        assert np.abs(np.subtract(extent(found), extent(fit_object(slab(), 64, 0.9)))).max() <= 1


def test_a_grey_background_becomes_white_and_chalk_on_black_is_turned() -> None:
    grey = on_white(np.array([[200] * 4, [200, 160, 40, 200], [200] * 4], np.uint8))
    assert grey.tolist() == [[255] * 4, [255, 204, 51, 255], [255] * 4]
    chalk = np.zeros((5, 5), np.uint8)
    chalk[2, 2] = 255
    assert on_white(chalk)[2, 2] == 0
    assert (on_white(chalk) == 255).sum() == 24


@pytest.mark.parametrize("grey", [0, 90, 200, 255])
def test_a_picture_of_one_colour_is_refused(tmp_path: Path, grey: int) -> None:
    path = saved(tmp_path / "blank.png", np.full((30, 40), grey, np.uint8))
    with pytest.raises(PictureError, match="the picture is blank") as raised:
        read_picture(path, 64, 0.9)
    assert raised.value.kind == "blank"


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_what_cannot_be_used_is_told_by_kind(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)).save(whole, "PNG")
    for name, content, kind, words in [
        ("empty.png", b"", "empty", "the file is empty"),
        ("text.png", b"no picture at all", "format", "save the picture in one of the formats PNG, JPEG"),
        ("cut.png", whole.getvalue()[:4000], "format", "cannot be read"),
        ("bomb.png", bomb(60_000, 60_000), "too-large", "more than 89 million pixels"),
        ("warned.png", bomb(10_000, 10_000), "too-large", "make it smaller"),
        (
            "a.eps",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "format",
            "save the picture in one of the formats PNG, JPEG",
        ),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PictureError, match=words) as raised:
            read_picture(tmp_path / name, 64, 0.9)
        assert raised.value.kind == kind
        assert "\n" not in str(raised.value)
    for path, kind in ((tmp_path / "nowhere.png", "missing"), (tmp_path, "missing")):
        with pytest.raises(PictureError) as raised:
            read_picture(path, 64, 0.9)
        assert raised.value.kind == kind


def test_transparency_lies_over_white() -> None:
    half = np.zeros((2, 2, 4), np.uint8)
    half[..., 3] = 128
    assert to_grey(Image.fromarray(half)).tolist() == [[127, 127], [127, 127]]


def outline(gap: int) -> NDArray[np.uint8]:
    """A rectangle 40 × 80 drawn in lines two pixels wide, with a gap in the upper one."""
    picture = np.full((120, 200), 255, np.uint8)
    picture[10:50, 20:100] = 0
    picture[12:48, 22:98] = 255
    picture[10:12, 50 : 50 + gap] = 255
    return picture


@pytest.mark.parametrize("gap", [0, 2])
def test_what_an_outline_encloses_is_shaded(gap: int) -> None:
    drawn = outline(gap)
    shaded = shade_outline(drawn)
    assert (shaded[12:48, 22:98] == ENCLOSED).all()
    assert (shaded[drawn == 0] == 0).all()
    assert (shaded[:8] == 255).all()
    assert (shaded[53:] == 255).all()


def test_an_outline_that_is_open_and_a_shaded_object_stay_as_they_are() -> None:
    assert (shade_outline(outline(30))[20:40, 40:80] == 255).all()
    assert np.array_equal(shade_outline(slab()), slab())


NESTED = """
import io, subprocess, sys
from pathlib import Path
from shapecnn.errors import PictureError
from tests.conftest import ROOT
from shapecnn.views.photographs import FORMATS, read_picture

def run(*_words, **_options):
    raise AssertionError("a program was run")

subprocess.Popen = run
try:
    read_picture(Path(sys.argv[1]), 64, 0.9)
except PictureError as error:
    print(error.kind)
from PIL import Image
Image.preinit(), Image.init()
print(set(Image.OPEN) <= set(FORMATS), end=" ")
try:
    Image.open(sys.argv[1])  # as a format does that opens what it wraps
except Image.UnidentifiedImageError:
    print("refused")
"""


@pytest.mark.parametrize("wrapped", [False, True])
def test_postscript_is_opened_at_no_depth(wrapped: bool, tmp_path: Path) -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    if wrapped:  # IPTC: tag, record, dataset, length; what holds the picture is dataset 8, 10
        fields = {(3, 20): b"\0\0\0\x09", (3, 30): b"\0\0\0\x09", (3, 60): b"\1\0", (3, 65): b"\0",
                  (3, 120): b"\1", (8, 10): content}  # fmt: skip
        content = b"".join(bytes([0x1C, *tag, 0, len(data)]) + data for tag, data in fields.items())
    (tmp_path / "picture").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", NESTED, str(tmp_path / "picture")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("format\nTrue refused\n", "")


def test_a_sparse_file_of_terabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PictureError, match="the file has more than 256 MB") as raised:
        read_picture(tmp_path / "sparse.png", 64, 0.9)
    assert raised.value.kind == "too-large"
