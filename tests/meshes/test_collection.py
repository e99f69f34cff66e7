from __future__ import annotations

import csv
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import CollectionError, MeshError
from shapecnn.meshes.collection import Shape, content_hash, list_shapes, printable
from shapecnn.meshes.mesh import read_mesh
from shapecnn.storage.reading import sha256
from tests.fuzz.corners import glb

Row = tuple[str, str | None, str | None]


def _folder(root: Path, *names: str) -> Path:
    """Files with their own names as content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def _zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "" if name.endswith("/") else name)
    return path


def _csv(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _rows(collection: Path) -> list[Row]:
    return [(shape.id, shape.label, shape.split) for shape in list_shapes(collection)]


def _refused(collection: Path) -> str:
    with pytest.raises(CollectionError) as caught:
        list_shapes(collection)
    return str(caught.value)


# The contract, the same for folders and zips

LAYOUTS: dict[str, tuple[list[str], list[Row]]] = {
    "the first level names the label": (
        ["chair/a.off", "bed/b.off"],
        [("bed/b.off", "bed", None), ("chair/a.off", "chair", None)],
    ),
    "a second level called train, val or test is the split": (
        ["chair/train/a.off", "chair/val/b.off", "bed/test/c.off"],
        [
            ("bed/test/c.off", "bed", "test"),
            ("chair/train/a.off", "chair", "train"),
            ("chair/val/b.off", "chair", "val"),
        ],
    ),
    "a second level of another name belongs to the shape": (
        ["chair/Train/a.off", "bed/training/b.off"],
        [("bed/training/b.off", "bed", None), ("chair/Train/a.off", "chair", None)],
    ),
    "deeper folders belong to the shape": (
        ["chair/x1/models/model.obj", "bed/test/x2/models/model.obj"],
        [("bed/test/x2/models/model.obj", "bed", "test"), ("chair/x1/models/model.obj", "chair", None)],
    ),
    "a deeper folder called test is no split": (
        ["chair/x1/test/model.obj", "bed/a.off"],
        [("bed/a.off", "bed", None), ("chair/x1/test/model.obj", "chair", None)],
    ),
    "a flat folder has label and split null": (
        ["b.off", "a.stl"],
        [("a.stl", None, None), ("b.off", None, None)],
    ),
    "a single common root folder is stripped": (
        ["psb/chair/train/a.off", "psb/bed/test/b.off"],
        [("bed/test/b.off", "bed", "test"), ("chair/train/a.off", "chair", "train")],
    ),
    "a root folder around a flat collection is stripped": (
        ["set/b.off", "set/a.off"],
        [("a.off", None, None), ("b.off", None, None)],
    ),
    "only one root folder is stripped": (
        ["outer/inner/a/x.off", "outer/inner/b/x.off"],
        [("inner/a/x.off", "inner", None), ("inner/b/x.off", "inner", None)],
    ),
    "other files beside the root folder do not count": (
        ["README.md", "psb/readme.txt", "psb/chair/a.off", "psb/bed/b.off"],
        [("bed/b.off", "bed", None), ("chair/a.off", "chair", None)],
    ),
    "a mesh beside the folder means that it is no root": (
        ["a.off", "chair/b.off"],
        [("a.off", None, None), ("chair/b.off", "chair", None)],
    ),
    "a lone folder of splits is a class": (
        ["chair/train/a.off", "chair/test/b.off"],
        [("chair/test/b.off", "chair", "test"), ("chair/train/a.off", "chair", "train")],
    ),
    "the id has the extension and its case": (
        ["c/a.off", "c/a.OBJ", "d/a.STL", "d/a.ply", "d/a.glb", "d/a.gltf"],
        [
            ("c/a.OBJ", "c", None),
            ("c/a.off", "c", None),
            ("d/a.STL", "d", None),
            ("d/a.glb", "d", None),
            ("d/a.gltf", "d", None),
            ("d/a.ply", "d", None),
        ],
    ),
    "the order is that of code points, not of folders": (
        ["a/z.off", "a-b/y.off", "a.off", "Z/x.off", "ä/w.off", "a0/v.off"],
        [
            ("Z/x.off", "Z", None),
            ("a-b/y.off", "a-b", None),
            ("a.off", None, None),
            ("a/z.off", "a", None),
            ("a0/v.off", "a0", None),
            ("ä/w.off", "ä", None),
        ],
    ),
    "what is hidden or no mesh is passed over": (
        [
            "chair/a.off",
            "bed/b.off",
            "__MACOSX/chair/._a.off",
            "bed/__MACOSX/x.off",
            "chair/._a.off",
            ".git/x.off",
            "bed/.partial/y.off",
            "chair/a.off.txt",
            "chair/off",
            "chair/model.mtl",
        ],
        [("bed/b.off", "bed", None), ("chair/a.off", "chair", None)],
    ),
    "names with spaces, colons and dots": (
        ["office chair/a: b.off", "t..able/c...off"],
        [("office chair/a: b.off", "office chair", None), ("t..able/c...off", "t..able", None)],
    ),
}


@pytest.mark.parametrize(("names", "rows"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(tmp_path: Path, names: list[str], rows: list[Row]) -> None:
    folder = _folder(tmp_path / "folder", *names)
    archive = _zip(tmp_path / "archive.zip", *names)
    assert _rows(folder) == rows
    assert _rows(archive) == rows
    for shape in [*list_shapes(folder), *list_shapes(archive)]:
        assert shape.read().decode().endswith(shape.id)
        assert shape.path.endswith(shape.id)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\\\0:"), min_size=1, max_size=3), unique=True)
)
def test_ids_are_sorted_by_code_point(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = _zip(tmp_path_factory.mktemp("zip") / "a.zip", "c/0.off", "d/0.off", *(f"c/x{name}.off" for name in names))
    ids = [shape.id for shape in list_shapes(path)]
    assert ids == sorted(ids)
    assert len(ids) == len(names) + 2


# Paths that are not collections


def test_what_is_no_collection(tmp_path: Path) -> None:
    _folder(tmp_path, "empty/readme.txt", "a.off", "text.zip", "text.csv")
    _zip(tmp_path / "empty.zip", "readme.txt", "folder.off/")
    meshes = "(.glb, .gltf, .obj, .off, .ply, .stl)"
    assert _refused(tmp_path / "gone") == f"There is no collection at {tmp_path / 'gone'}."
    assert _refused(tmp_path / "empty") == f"{tmp_path / 'empty'} holds no mesh files {meshes}."
    assert _refused(tmp_path / "empty.zip") == f"{tmp_path / 'empty.zip'} holds no mesh files {meshes}."
    wanted = "a folder, a zip of a folder, or a CSV with the header path,label,split"
    assert _refused(tmp_path / "a.off") == f"{tmp_path / 'a.off'} is not a collection: give {wanted}."
    none = "no column is called label, path, split"
    assert _refused(tmp_path / "text.csv") == f"{tmp_path / 'text.csv'} lacks the header path,label,split: {none}."
    no_zip = "cannot be read as a zip: File is not a zip file."
    assert _refused(tmp_path / "text.zip") == f"{tmp_path / 'text.zip'} {no_zip}"


@pytest.mark.parametrize("name", ["pipe", "pipe.zip", "pipe.csv"])
def test_a_pipe_is_no_collection(name: str, tmp_path: Path) -> None:
    """Nobody may ever write into it: to open it would be to wait for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(CollectionError, match=f"{name} is not a collection: give a folder, a zip of a folder"):
        list_shapes(tmp_path / name)


# Folders


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    _folder(tmp_path, "set/chair/a.off", "set/bed/b.off", "elsewhere/c.off")
    (tmp_path / "set" / "table").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "chair" / "linked.off").symlink_to(tmp_path / "elsewhere" / "c.off")
    (tmp_path / "set" / "chair" / "up").symlink_to("..")
    (tmp_path / "set" / "bed" / "self").symlink_to(".")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "bed" / "itself.off").symlink_to("itself.off")
    (tmp_path / "set" / "bed" / "gone.off").symlink_to("nowhere.off")
    shapes = {shape.id: shape for shape in list_shapes(tmp_path / "set")}
    assert list(shapes) == [
        "bed/b.off",
        "bed/gone.off",
        "bed/itself.off",
        "chair/a.off",
        "chair/linked.off",
        "table/c.off",
    ]
    assert shapes["table/c.off"].read() == b"elsewhere/c.off"
    for broken in ("bed/gone.off", "bed/itself.off"):
        with pytest.raises(MeshError) as caught:
            shapes[broken].read()
        assert caught.value.kind in ("missing", "unreadable")


def test_two_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    _folder(tmp_path, "set/a/1.off", "set/b/2.off")
    (tmp_path / "set" / "a" / "to_b").symlink_to("../b")
    (tmp_path / "set" / "b" / "to_a").symlink_to("../a")
    assert [shape.id for shape in list_shapes(tmp_path / "set")] == [
        "a/1.off",
        "b/2.off",
    ]


def test_a_folder_called_like_a_mesh_is_a_folder(tmp_path: Path) -> None:
    _folder(tmp_path, "chair.off/a.off", "bed.obj/test/b.off")
    assert _rows(tmp_path) == [("bed.obj/test/b.off", "bed.obj", "test"), ("chair.off/a.off", "chair.off", None)]


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    _folder(tmp_path, "x/b.off")
    odd = os.fsdecode(b"st\xfchle")  # Latin-1
    try:
        (tmp_path / odd).mkdir()
        (tmp_path / odd / os.fsdecode(b"\xff.off")).write_bytes(b"content")
    except OSError:
        pytest.skip("this file system stores UTF-8 names only")
    shape = list_shapes(tmp_path)[0]
    assert (shape.id, shape.label) == ("st\\xfchle/\\xff.off", "st\\xfchle")
    assert shape.read() == b"content"
    assert shape.path == f"{tmp_path}/st\\xfchle/\\xff.off"
    (shape.id + shape.path).encode()


def test_a_path_is_one_line_whatever_a_name_holds(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31mb\u202e.off").write_bytes(b"content")
    (shape,) = list_shapes(tmp_path)
    assert shape.id == "a\n\x1b[31mb\u202e.off"
    assert shape.path == f"{tmp_path}/a\\n\\x1b[31mb\\u202e.off"
    assert shape.read() == b"content"


def test_names_that_are_printed_alike_are_told_apart(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.off")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system stores UTF-8 names only")
    (tmp_path / "\\xff.off").write_bytes(b"")
    assert _refused(tmp_path) == rf"{tmp_path} holds '\\xff.off' more than once: give each shape its own path."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    _folder(tmp_path, "chair/a.off")
    (tmp_path / "chair").chmod(0)
    try:
        assert _refused(tmp_path) == f"The folder {tmp_path / 'chair'} cannot be listed: Permission denied."
    finally:
        (tmp_path / "chair").chmod(0o700)


# Zips


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look everywhere")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    for path in (_zip(tmp_path / "a.zip", "chair/a.off"), _csv(tmp_path / "a.csv", "path,label,split\n")):
        path.chmod(0)
        assert "Permission denied" in _refused(path)


@pytest.mark.parametrize("name", ["../a.off", "c/../../a.off", "/a.off", "C:/a.off", "..\\a.off", "\\\\host\\a.off"])
def test_a_zip_whose_names_lead_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", "chair/a.off", name)
    assert _refused(path) == f"{path} holds {name!r}, a path that leads out of the zip. Do not trust this file."


def test_a_zip_with_links_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("chair/b.off")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("chair/a.off", "")
        archive.writestr(link, "/etc/passwd")
    assert "holds the link 'chair/b.off'" in _refused(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["chair/a.off", "chair//a.off", "./chair/a.off", "chair\\a.off"])
def test_a_zip_that_holds_a_mesh_twice_is_refused(tmp_path: Path, again: str) -> None:
    path = _zip(tmp_path / "a.zip", "bed/b.off", "chair/a.off", again)
    assert _refused(path) == f"{path} holds 'chair/a.off' more than once: give each shape its own path."


def test_backslashes_of_a_zip_separate_folders(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "chair\\train\\a.off", "bed\\b.off", "__MACOSX\\bed\\b.off")
    assert _rows(path) == [("bed/b.off", "bed", None), ("chair/train/a.off", "chair", "train")]
    assert list_shapes(path)[1].read() == b"chair\\train\\a.off"


def test_any_extension_will_do_for_a_zip(tmp_path: Path) -> None:
    assert _rows(_zip(tmp_path / "meshes.data", "a/x.off", "b/x.off")) == [
        ("a/x.off", "a", None),
        ("b/x.off", "b", None),
    ]


def _patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """``value`` written ``offset`` bytes behind every occurrence of ``signature``."""
    data = bytearray(path.read_bytes())
    for match in re.finditer(re.escape(signature), bytes(data)):
        data[match.start() + offset : match.start() + offset + len(value)] = value
    path.write_bytes(data)
    return path


def _unreadable(path: Path) -> str:
    (shape,) = list_shapes(path)
    with pytest.raises(MeshError) as caught:
        shape.read()
    assert caught.value.kind == "unreadable"
    return str(caught.value)


LOCAL, CENTRAL = b"PK\3\4", b"PK\1\2"


def test_an_encrypted_zip_is_listed_and_its_meshes_are_unreadable(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "a.off")
    _patched(_patched(path, LOCAL, 6, b"\1"), CENTRAL, 8, b"\1")
    assert re.match(r"the file cannot be read from the zip a\.zip: .*(encrypted|password)", _unreadable(path))


def test_a_zip_damaged_inside_is_listed_and_the_mesh_is_unreadable(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "mesh.off")
    path.write_bytes(path.read_bytes().replace(b"mesh.offmesh.off", b"mesh.offMESH.off"))
    assert "Bad CRC-32" in _unreadable(path)


def test_an_unknown_compression_is_unreadable(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "a.off")
    _patched(_patched(path, LOCAL, 8, b"\x63"), CENTRAL, 10, b"\x63")
    assert "compression" in _unreadable(path)


def test_a_zip_cut_short_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "a.off", "b.off")
    path.write_bytes(path.read_bytes()[:-30])
    assert _refused(path) == f"{path} cannot be read as a zip: File is not a zip file."


@pytest.mark.parametrize(
    ("offset", "value"),
    [(46, b"\xff"), (6, b"\xff\xff")],  # a name that is not the UTF-8 it claims to be, a version from the future
    ids=["name", "version"],
)
def test_a_zip_with_a_broken_directory_is_refused(tmp_path: Path, offset: int, value: bytes) -> None:
    path = _patched(_zip(tmp_path / "a.zip", "ä.off"), CENTRAL, offset, value)
    assert _refused(path).startswith(f"{path} cannot be read as a zip: ")


def test_a_member_that_is_huge_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.meshes.collection.MAX_BYTES", 4)
    (shape,) = list_shapes(_zip(tmp_path / "a.zip", "a.off"))
    with pytest.raises(MeshError) as caught:
        shape.read()
    assert caught.value.kind == "too-large"


def test_a_zip_that_unpacks_to_hundreds_of_times_its_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.off", b"\n" * (17 << 20))
    assert "would unpack to 17.8 MB, more than the limit of" in _refused(tmp_path / "a.zip")


def test_a_file_without_a_name_in_a_zip_is_passed_over(tmp_path: Path) -> None:
    path = _patched(_patched(_zip(tmp_path / "a.zip", "a.off", "b.off"), LOCAL, 30, b"\0"), CENTRAL, 46, b"\0")
    assert "holds no mesh files" in _refused(path)


def test_a_zip_that_changes_or_goes_away(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", "a.off", "b.off")
    first, second = list_shapes(path)
    assert first.read() == b"a.off"
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.off", "new content")
    os.utime(path, ns=(1, 1))
    assert first.read() == b"new content"
    with pytest.raises(MeshError, match=r"the zip .*a\.zip has no file 'b\.off'"):
        second.read()
    path.unlink()
    with pytest.raises(MeshError, match="No such file"):
        first.read()


def test_a_large_zip_is_opened_once_to_be_listed_and_once_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"class{i % 40:02}/train/{i:05}.off" for i in range(12_000)]
    path = _zip(tmp_path / "a.zip", *names)
    opened = []

    class Counted(zipfile.ZipFile):
        def __init__(self, file: Path) -> None:
            opened.append(file)
            super().__init__(file)

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    shapes = list_shapes(path)
    assert [shape.id for shape in shapes] == sorted(names)
    assert all(shape.read() == shape.id.encode() for shape in shapes)
    assert len(opened) == 2  # once to list, once to read


FORKED = """
import multiprocessing, pathlib, sys
from shapecnn.meshes.collection import list_shapes

def check(shape):
    return shape.read() == shape.id.encode() * 1000

if __name__ == "__main__":
    shapes = list_shapes(pathlib.Path(sys.argv[1]))
    assert check(shapes[0])  # now the parent has it open
    with multiprocessing.get_context("fork").Pool(4) as pool:
        print(sum(pool.map(check, shapes * 10, chunksize=1)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_forked_workers_do_not_share_the_position_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(100):
            archive.writestr(f"{i:03}.off", f"{i:03}.off" * 1000)
    (tmp_path / "forked.py").write_text(FORKED)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "forked.py"), str(tmp_path / "a.zip")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("1000\n", "")


# CSV


@pytest.mark.parametrize(
    "text",
    [
        "path,label,split\nb.off,bed,test\nmeshes/a.off,chair,train\nc.off,,\n",
        "\ufeffpath,label,split\r\nb.off,bed,test\r\nmeshes/a.off,chair,train\r\nc.off,,\r\n",
        "split,note,path,label\ntest,x,b.off,bed\n\ntrain,,meshes/a.off,chair\n,,c.off",
        'path,label,split\n"b.off"," bed ",test\n ./meshes//a.off ,chair, train\nc.off\n',
        "path,label,split,id\nc.off,,,1,2,3\nb.off,bed,test\nmeshes/a.off,chair,train\n",
    ],
)
def test_csv(tmp_path: Path, text: str) -> None:
    _folder(tmp_path, "meshes/a.off", "b.off", "c.off")
    path = _csv(tmp_path / "list.CSV", text)
    assert _rows(path) == [("b.off", "bed", "test"), ("c.off", None, None), ("meshes/a.off", "chair", "train")]
    assert [shape.read() for shape in list_shapes(path)] == [b"b.off", b"c.off", b"meshes/a.off"]


def test_csv_labels_may_hold_anything(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "split"], ['q"uo,te.off', "Stühle\nund, Tische", "val"]])
    assert _rows(tmp_path / "a.csv") == [('q"uo,te.off', "Stühle\nund, Tische", "val")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the header path,label,split: no column is called label, path, split."),
        ("a.off,chair,train\n", "lacks the header path,label,split: no column is called label, path, split."),
        ("path,label\na.off,chair\n", "lacks the header path,label,split: no column is called split."),
        ("path|label|split\n", "lacks the header path,label,split: no column is called label, path, split."),
        ("path,label,split\n", "holds no mesh files (.glb, .gltf, .obj, .off, .ply, .stl)."),
        ("\n\r\npath;label;split\n../a.off;;\n", ", line 4: '../a.off' is not a path inside the folder of the CSV."),
        ("path,label,split\n../a.off,chair,\n", ", line 2: '../a.off' is not a path inside the folder of the CSV."),
        ("path,label,split\n\nb/../a.off,,\n", ", line 3: 'b/../a.off' is not a path inside the folder of the CSV."),
        (
            "path,label,split\n.partial/a.off,,\n",
            ", line 2: '.partial/a.off' is hidden (a name that begins with a dot)",
        ),
        ("path,label,split\n/a.off,chair,\n", ", line 2: '/a.off' is not a path inside the folder of the CSV."),
        ("path,label,split\nb.off,,\n,chair,test\n", ", line 3: '' is not a path inside the folder of the CSV."),
        ("path,label,split\na.off,chair,trial\n", ", line 2: the split 'trial' is not one of train, val, test."),
        ("path,label,split\na.off,x,\nb.off,,\na.off,y,\n", "holds 'a.off' more than once: give each shape its own"),
        ("path,label,split\nb/a.off,x,\n./b//a.off,y,\n", "holds 'b/a.off' more than once: give each shape its own"),
        ("path,label,split\na.off," + "x" * 200_000 + ",\n", "cannot be read as a CSV: "),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = _csv(tmp_path / "a.csv", text)
    refused = _refused(path)
    assert refused.startswith((f"{path} {message}", f"{path}{message}"))


@pytest.mark.parametrize("name", ["gone.off", "gone/a.off", "nul\0.off", "a" * 300 + ".off"])
def test_a_csv_may_name_what_is_not_there_and_only_that_mesh_fails(tmp_path: Path, name: str) -> None:
    _folder(tmp_path, "here.off")
    shapes = {s.id: s for s in list_shapes(_csv(tmp_path / "a.csv", f"path,label,split\nhere.off,,\n{name},,\n"))}
    assert shapes["here.off"].read() == b"here.off"
    with pytest.raises(MeshError) as caught:
        shapes[name].read()
    assert caught.value.kind == ("unreadable" if len(name) > 255 else "missing")


# References of a mesh


@pytest.mark.parametrize("packed", [False, True])
def test_siblings_come_from_the_folder_of_the_mesh_and_nowhere_else(tmp_path: Path, packed: bool) -> None:
    names = ["secret.bin", "chair/x/model.gltf", "chair/x/model.bin", "chair/x/deep/more.bin", "bed/y.off"]
    source = _zip(tmp_path / "a.zip", *names) if packed else _folder(tmp_path / "set", *names)
    shape = list_shapes(source)[1]
    assert shape.id == "chair/x/model.gltf"
    assert shape.sibling("model.bin") == b"chair/x/model.bin"
    assert shape.sibling("deep/more.bin") == b"chair/x/deep/more.bin"
    for outside in ("../../secret.bin", "../x/model.bin/../../../secret.bin", "/etc/passwd"):
        with pytest.raises(MeshError) as caught:
            shape.sibling(outside)
        assert caught.value.kind == "reference", outside
    with pytest.raises(MeshError, match=r"there is no such file|has no file"):
        shape.sibling("gone.bin")


@pytest.mark.parametrize("packed", [False, True])
def test_a_gltf_is_read_with_its_buffer_and_hashed_with_it(tmp_path: Path, packed: bool) -> None:
    import trimesh

    def made(buffer: bytes | None = None) -> tuple[Shape, bytes]:
        files = {f"a/{name}": data for name, data in trimesh.creation.box().scene().export(file_type="gltf").items()}
        if buffer is not None:
            files["a/gltf_buffer_1.bin"] = buffer
        source = tmp_path / ("a.zip" if packed else "set")
        if packed:
            with zipfile.ZipFile(source, "w") as archive:
                for name, data in {**files, "b/x.off": b""}.items():
                    archive.writestr(name, data)
            os.utime(source, ns=(len(buffer or b""), 1 + len(buffer or b"")))
        else:
            for name, data in {**files, "b/x.off": b""}.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(data)
        shape = list_shapes(source)[0]
        return shape, shape.read()

    shape, data = made()
    assert len(read_mesh(data, shape.id, shape.sibling).faces) == 12
    first = content_hash(shape, data)
    other, same_data = made(b"another buffer")
    assert same_data == data
    assert content_hash(other, same_data) != first


def test_a_glb_is_hashed_with_the_buffers_beside_it(tmp_path: Path) -> None:
    data = glb({"buffers": [{"byteLength": 4}, {"uri": "b%20c.bin"}, {"uri": "data:,"}]}, b"abcd")
    shape = Shape("a.glb", None, None, tmp_path / "a.glb")
    with pytest.raises(MeshError, match=r"the mesh refers to the file 'b c\.bin': there is no such file"):
        content_hash(shape, data)
    (tmp_path / "b c.bin").write_bytes(b"efg")
    assert content_hash(shape, data) == sha256(data + b"efg")


@pytest.mark.parametrize("uri", ["a%00b", "\ud800", "loop/x", "x" * 5000])
@pytest.mark.parametrize("packed", [False, True])
def test_a_gltf_may_refer_to_anything_and_only_that_mesh_fails(tmp_path: Path, uri: str, packed: bool) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = _zip(tmp_path / "a.zip", "x.off") if packed else tmp_path / "a.gltf"
    shape = Shape("a.gltf", None, None, file, "a.gltf" if packed else None)
    with pytest.raises(MeshError) as caught:
        content_hash(shape, json.dumps({"buffers": [{"uri": uri}]}).encode())
    assert caught.value.kind == "reference"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"buffers": null}', b'{"buffers": [{"uri": 5}]}', b"[" * 100_000])
def test_a_gltf_that_is_none_is_hashed_all_the_same(tmp_path: Path, data: bytes) -> None:
    assert content_hash(Shape("a.gltf", None, None, tmp_path / "a.gltf"), data) == sha256(data)


def test_other_meshes_are_hashed_as_they_are(tmp_path: Path) -> None:
    shape = Shape("a.off", None, None, tmp_path / "a.off")
    assert content_hash(shape, b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_printable_keeps_what_can_be_printed() -> None:
    assert printable("Stühle/a b.off") == "Stühle/a b.off"
    assert printable(os.fsdecode(b"a\xff\xfe.off")) == "a\\xff\\xfe.off"


# The real thing


@pytest.mark.parametrize(
    ("name", "count", "classes", "splits"),
    [("psb.zip", 953, 40, {"train": 710, "test": 243}), ("psb-unaligned.zip", 313, 55, {"test": 313})],
)
def test_the_princeton_shape_benchmark(
    data_dir: Path, name: str, count: int, classes: int, splits: dict[str, int]
) -> None:
    shapes = list_shapes(data_dir / name)
    assert len(shapes) == count
    assert len({shape.label for shape in shapes}) == classes
    assert {split: sum(shape.split == split for shape in shapes) for split in splits} == splits
    assert shapes[0].id.startswith(f"{shapes[0].label}/")


# As strangers arrange and write them


@pytest.mark.parametrize("around", ["", "ModelNet40/"])
def test_split_first_folders_are_read_as_splits_and_said(tmp_path: Path, around: str) -> None:
    _folder(tmp_path / "set", f"{around}train/chair/x.off", f"{around}test/chair/y.off")
    told: list[str] = []
    shapes = list_shapes(tmp_path / "set", say=told.append)
    assert [(shape.id, shape.label, shape.split) for shape in shapes] == [
        ("test/chair/y.off", "chair", "test"),
        ("train/chair/x.off", "chair", "train"),
    ]
    assert len(told) == 1
    assert "read as split/class" in told[0]


def test_folders_that_can_be_read_in_two_ways_are_refused_with_both(tmp_path: Path) -> None:
    message = _refused(_folder(tmp_path, "train/x.off", "test/y.off"))
    assert "test, train are classes, or test, train are splits" in message


def test_metadata_of_modelnet_beside_a_folder_in_a_folder(tmp_path: Path) -> None:
    _folder(tmp_path, "ModelNet40/ModelNet40/bed/train/b_1.off")
    text = "object_id,class,split,object_path\nb_1,bed,train,bed/train/b_1.off\n"
    [shape] = list_shapes(_csv(tmp_path / "metadata.csv", text))
    assert (shape.id, shape.label, shape.split) == ("bed/train/b_1.off", "bed", "train")
    assert shape.read().endswith(b"b_1.off")


@pytest.mark.parametrize(
    "text",
    [
        "path;label;split\nc/a.off;Stühle;val\n".encode(),
        "Path\tLabel\tSplit\nc\\a.off\tStühle\tval\n".encode("utf-16"),
        "path,label,split\nc\\a.off,Stühle,val\n".encode("latin-1"),
    ],
)
def test_spreadsheets_of_other_programs_are_read(tmp_path: Path, text: bytes) -> None:
    _folder(tmp_path, "c/a.off")
    assert _rows(_csv(tmp_path / "a.csv", text)) == [("c/a.off", "Stühle", "val")]


@pytest.mark.parametrize(("encoding", "name"), [("utf-8", "stühle/ä.off"), ("cp437", "stühle/ä.off")])
def test_zip_names_without_the_flag(tmp_path: Path, encoding: str, name: str) -> None:
    raw = name.encode(encoding)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x" * len(raw), "mesh")
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(b"x" * len(raw), raw))
    [shape] = list_shapes(tmp_path / "a.zip")
    assert shape.id == "ä.off"
    assert shape.read() == b"mesh"


def test_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("path,label,split\na.off,a,\n".encode("utf-16-le"))
    assert "list.csv cannot be read as a CSV: save it in UTF-8." in _refused(tmp_path / "list.csv")


def test_a_list_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "list.csv").write_text("path,label,split\na.off,box,\n")
    (tmp_path / "elsewhere" / "link.csv").symlink_to(tmp_path / "elsewhere" / "list.csv")
    assert [shape.label for shape in list_shapes(tmp_path / "elsewhere" / "link.csv")] == ["box"]


def test_a_csv_spells_splits_as_folders_may(tmp_path: Path) -> None:
    spelt = ["train", "Train", "TEST", "Validation", "val", ""]
    rows = "".join(f"{number}.off,chair,{name}\n" for number, name in enumerate(spelt))
    shapes = list_shapes(_csv(tmp_path / "a.csv", f"path,label,split\n{rows}"))
    assert [shape.split for shape in shapes] == ["train", "train", "test", "val", "val", None]
