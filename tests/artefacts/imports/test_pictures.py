"""Pictures that others made become sheets: their order, their modes, and what is wrong with them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.artefacts.imports.pictures import SheetMaker, decode_grey, open_views_by_name, open_views_by_shape
from shapecnn.errors import CollectionError, ItemError, UsageError
from shapecnn.views import split_sheet


def view(path: Path, level: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), level).save(path)


def shape(folder: Path, pattern: str, views: int = 12, size: int = 8) -> None:
    """Views whose grey is their number."""
    for i in range(1, views + 1):
        view(folder / pattern.format(i), i, size)


def levels(maker: SheetMaker, item: object) -> list[int]:
    """The grey of each view of what becomes of an item."""
    (sheet,) = maker.open(item)[1]().contents  # type: ignore[arg-type]
    with Image.open(io.BytesIO(sheet)) as image:
        assert image.mode == "L"
        return [int(picture.max()) for picture in split_sheet(np.asarray(image), maker.settings.views)]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("views", [12, 20, 80])
@pytest.mark.parametrize("name", ["{:03d}.png", "v{}.png", "1_{}.PNG"])
def test_views_by_shape_are_in_order_of_their_numbers(views: int, name: str, tmp_path: Path) -> None:
    shape(tmp_path, f"train/chair/a.1/{name}", views)
    (item,), maker = open_views_by_shape(tmp_path)
    assert (item.id, item.label, item.split) == ("chair/train/a.1.png", "chair", "train")
    assert (maker.settings.views, maker.settings.size) == (views, 8)
    assert levels(maker, item) == list(range(1, views + 1))


def test_views_by_name_are_grouped_by_what_stands_before_the_number(tmp_path: Path) -> None:
    for name in ("chair_0001", "chair_0002", "chair"):
        shape(tmp_path, f"chair/test/{name}_{{:03d}}.png")
    shape(tmp_path, "night_stand/train/night_stand_0001_{:03d}.png")
    items, maker = open_views_by_name(tmp_path)
    assert [item.id for item in items] == [
        "chair/test/chair.png", "chair/test/chair_0001.png", "chair/test/chair_0002.png",
        "night_stand/train/night_stand_0001.png",
    ]  # fmt: skip
    assert [(item.label, item.split) for item in items[2:]] == [("chair", "test"), ("night_stand", "train")]
    assert all(levels(maker, item) == list(range(1, 13)) for item in items)


@pytest.mark.parametrize(
    "pattern",
    [
        "airplane_0001_{:03d}.jpg",  # Su's scripts of 2015
        "airplane_0001_{:03d}.JPEG",
        "airplane_0001.obj.shaded_v{:03d}.png",  # modelnet40_images_new_12x, of 2018
        "airplane_0001.obj_whiteshaded_v{}.png",
    ],
)
def test_the_names_that_the_authors_scripts_give_to_views(pattern: str, tmp_path: Path) -> None:
    shape(tmp_path, f"airplane/train/{pattern}")
    shape(tmp_path, f"airplane/train/{pattern.replace('0001', '0002')}")
    items, maker = open_views_by_name(tmp_path)
    assert [item.id for item in items] == ["airplane/train/airplane_0001.png", "airplane/train/airplane_0002.png"]
    assert [levels(maker, item) for item in items] == [list(range(1, 13))] * 2


def test_pictures_of_another_kind_are_other_shapes(tmp_path: Path) -> None:
    for kind in ("shaded", "depth"):
        shape(tmp_path, f"airplane/train/airplane_0001.obj.{kind}_v{{:03d}}.png")
    items, _ = open_views_by_name(tmp_path)
    assert [item.id.split("/")[-1] for item in items] == ["airplane_0001.obj.depth.png", "airplane_0001.png"]


@pytest.mark.parametrize("twice", ["4.jpg", "04.png", "v4.jpeg"])
def test_a_view_that_is_there_twice_fails_its_shape_with_both_names(twice: str, tmp_path: Path) -> None:
    """Else a folder that holds each view as PNG and as JPEG gave sheets of 24."""
    for name in "ab":
        shape(tmp_path, f"train/chair/{name}/{{}}.png")
    view(tmp_path / "train/chair/b" / twice, 4)
    items, maker = open_views_by_shape(tmp_path)
    assert levels(maker, items[0]) == list(range(1, 13))
    with pytest.raises(ItemError, match=r"^view 4 occurs twice: \w+\.\w+ and \w+\.\w+$"):
        levels(maker, items[1])


@pytest.mark.parametrize("root", ["", "pictures/", "a/b/"])
@pytest.mark.parametrize("splits", [["train"], ["train", "test"]])
def test_folders_around_everything_are_stripped_in_folders_and_zips(
    root: str, splits: list[str], tmp_path: Path
) -> None:
    for split in splits:
        shape(tmp_path / "in", f"{root}{split}/chair/7/{{}}.png")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in (tmp_path / "in").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "in"))
    for source in (tmp_path / "in", tmp_path / "in.zip"):
        items, maker = open_views_by_shape(source)
        assert [item.id for item in items] == sorted(f"chair/{split}/7.png" for split in splits)
        assert levels(maker, items[0]) == list(range(1, 13))


def test_two_roots_are_two_imports(tmp_path: Path) -> None:
    shape(tmp_path, "a/train/chair/7/{}.png")
    shape(tmp_path, "b/train/chair/7/{}.png")
    with pytest.raises(CollectionError, match="has 2 folders with the layout"):
        open_views_by_shape(tmp_path)


@pytest.mark.parametrize("stray", ["preview.png", "chair/train/1_001.png", "all/chair/7/1.png"])
def test_what_is_no_such_layout_is_refused_with_the_stray_file(stray: str, tmp_path: Path) -> None:
    shape(tmp_path, "train/chair/7/{}.png")
    view(tmp_path / stray, 1)
    with pytest.raises(CollectionError, match=rf"split/class/id/\*\.png: {stray} does not fit"):
        open_views_by_shape(tmp_path)


def test_a_source_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="holds no pictures"):
        open_views_by_name(tmp_path)
    with pytest.raises(CollectionError, match="There is no collection"):
        open_views_by_name(tmp_path / "none")


@pytest.mark.parametrize("views", [1, 6, 13])
def test_any_number_of_views_is_taken(views: int, tmp_path: Path) -> None:
    shape(tmp_path, "train/chair/7/{}.png", views)
    (item,), maker = open_views_by_shape(tmp_path)
    assert (maker.settings.views, levels(maker, item)) == (views, list(range(1, views + 1)))


def test_more_views_than_a_shape_may_have_are_refused(tmp_path: Path) -> None:
    shape(tmp_path, "train/chair/7/{}.png", 361)
    with pytest.raises(UsageError, match=r"have 361 pictures\. At most 360 are allowed"):
        open_views_by_shape(tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("L", (8, 9)), "have 8 × 9 pixels. Views must be square"),
        (Image.new("L", (4, 4)), "size = 4"),
        (None, "None of the pictures"),
    ],
)
def test_pictures_that_are_no_views_are_refused(image: Image.Image | None, message: str, tmp_path: Path) -> None:
    shape(tmp_path, "train/chair/7/{}.png")
    for file in (tmp_path / "train/chair/7").iterdir():
        file.write_bytes(encoded(image) if image else b"not a picture")
    with pytest.raises(UsageError, match=message):
        open_views_by_shape(tmp_path)


def test_what_most_shapes_have_decides_and_the_others_fail(tmp_path: Path) -> None:
    for name in "bcd":
        shape(tmp_path, f"train/chair/{name}/{{}}.png")
    shape(tmp_path, "train/chair/a/{}.png", size=9)
    shape(tmp_path, "train/chair/e/{}.png", views=11)
    items, maker = open_views_by_shape(tmp_path)
    assert (maker.settings.views, maker.settings.size) == (12, 8)
    with pytest.raises(ItemError, match=r"1\.png has 9 × 9 pixels, but most shapes have 8 × 8"):
        levels(maker, items[0])
    with pytest.raises(ItemError, match="11 pictures, but most shapes have 12"):
        levels(maker, items[4])
    assert levels(maker, items[1]) == list(range(1, 13))


def test_a_broken_picture_fails_its_shape_with_its_name(tmp_path: Path) -> None:
    shape(tmp_path, "train/chair/7/{}.png")
    broken = tmp_path / "train/chair/7/5.png"
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)))
    for damage in (b"", b"GIF89a", whole[:60], whole[:45] + bytes([whole[45] ^ 255]) + whole[46:]):
        broken.write_bytes(damage)
        items, maker = open_views_by_shape(tmp_path)
        with pytest.raises(ItemError, match=r"^5\.png cannot be read as PNG or JPEG: "):
            levels(maker, items[0])
    items, maker = open_views_by_shape(tmp_path)
    broken.unlink()
    with pytest.raises(ItemError, match=r"^5\.png: there is no such file"):
        levels(maker, items[0])


def test_a_bomb_is_never_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    with pytest.raises(ItemError, match="cannot be read as PNG or JPEG"):
        decode_grey(data, "bomb.png", 8)


GREYS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_in_any_mode_keeps_every_value(mode: str) -> None:
    np.testing.assert_array_equal(decode_grey(encoded(Image.fromarray(GREYS).convert(mode)), "a", 8), GREYS)


def test_black_and_white() -> None:
    image = Image.fromarray(GREYS).point(lambda level: 255 * (level > 99)).convert("1")
    np.testing.assert_array_equal(decode_grey(encoded(image), "a", 8), np.where(GREYS > 99, 255, 0))


def test_colours_become_their_luma() -> None:
    for colour, luma in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)):
        assert (decode_grey(encoded(Image.new("RGB", (8, 8), colour)), "a", 8) == luma).all()


def test_transparency_shows_white() -> None:
    for colour, level in (((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 51), 204)):
        assert (decode_grey(encoded(Image.new("RGBA", (8, 8), colour)), "a", 8) == level).all()
    keyed = encoded(Image.fromarray(GREYS), transparency=0)
    np.testing.assert_array_equal(decode_grey(keyed, "a", 8), np.where(GREYS == 0, 255, GREYS))


def test_sixteen_bits_are_rounded_to_eight() -> None:
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    expected = np.round(deep / 257)
    np.testing.assert_array_equal(decode_grey(encoded(Image.fromarray(deep)), "a", 8), expected)
    np.testing.assert_array_equal(decode_grey(encoded(Image.fromarray(GREYS.astype(np.uint16) * 257)), "a", 8), GREYS)


def test_a_jpeg_is_read_as_its_luma() -> None:
    for image in (Image.new("L", (8, 8), 76), Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("CMYK", (8, 8), 0)):
        level = 255 if image.mode == "CMYK" else 76
        assert (decode_grey(encoded(image, "JPEG"), "a.jpg", 8) == level).all()


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_no_other_format_is_opened_whatever_it_is_called(kind: str) -> None:
    with pytest.raises(ItemError, match=r"a\.png cannot be read as PNG or JPEG"):
        decode_grey(encoded(Image.new("L", (8, 8), 76), kind), "a.png", 8)


@pytest.mark.parametrize("cut", [40, 300, -2])
def test_a_jpeg_that_is_cut_short_fails(cut: int) -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)), "JPEG")
    with pytest.raises(ItemError, match=r"^a\.jpg cannot be read as PNG or JPEG: "):
        decode_grey(whole[:cut], "a.jpg", 64)
