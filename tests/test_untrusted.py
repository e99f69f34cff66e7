"""Runs, indexes and artefacts that somebody sends who means harm, hashes right: one sentence, and nothing is run."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pickle
import random
import re
import resource
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.numpy import load_file, save_file

import shapecnn
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import ArchiveError, ShapecnnError, StoredDataError, UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.meshes.zips import check_members
from shapecnn.models.adapted_space import VERSION
from shapecnn.models.input import Input
from shapecnn.models.model import resolve_model
from shapecnn.models.run import open_run
from shapecnn.models.torch_engine import TorchEngine
from shapecnn.predict import Predictor
from shapecnn.search.index import IndexedShape, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.tables import table_bytes
from shapecnn.verify import verify
from shapecnn.workers.pool import Workers
from tests.evaluations import write_artefacts, write_splits
from tests.report.safe import require_safe
from tests.runs import VOXRESNET, write_run
from tests.sealing import forge, reseal

PACKAGE = Path(shapecnn.__file__).parent
GRIDS = VoxelSettings(resolution=16, padding=1)


# --- nothing that is stored is ever run ---


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call of the package: file, dotted name and keywords."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func), node


def test_no_module_unpickles_or_evaluates_anything() -> None:
    seen = set()
    for file, name, call in calls():
        module, _, function = name.rpartition(".")
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert module not in ("pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"), (file, name)
        assert name not in ("eval", "exec", "compile", "__import__", "faiss.read_index", "torch.jit.load"), (file, name)
        assert "allow_pickle" not in given or given["allow_pickle"] == "False", (file, name)
        if name == "torch.load":
            assert given.get("weights_only") == "True", file
        if module == "yaml" and function in ("load", "load_all", "unsafe_load", "full_load"):
            assert (name, ast.unparse(call.args[1])) == ("yaml.load", "_UniqueKeys"), file  # a SafeLoader
        seen.add(name)
    assert {"torch.load", "np.load", "yaml.parse"} <= seen  # it sees what it should


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """meshes, grids, run and index, not to be changed."""
    here = tmp_path_factory.mktemp("world")
    meshes = write_splits(here / "meshes", train=2, test=1)
    write_artefacts(meshes, here / "grids", GRIDS)
    run = write_run(here / "run", meshes, VOXRESNET, GRIDS, gallery=True)
    bring_up_to_date(
        meshes, here / "index", IndexPlan.of(resolve_model(str(run))), command="", device="cpu", workers=Workers(1)
    )
    return here


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of them, to be changed."""
    return lambda name: Path(shutil.copytree(world / name, tmp_path / name))


def use(folder: Path, world: Path) -> Any:
    """What a command does with such a folder."""
    mesh = str(world / "meshes/box/test/2.off")
    if folder.name == "run":
        model = resolve_model(str(folder))
        model.network.build()
        return Predictor(model, device="cpu").predict([mesh], up="z")
    if folder.name == "index":
        index = read_index(folder)
        return Searcher(index, index.record.open(folder), device="cpu").query([mesh], 3, up="z")
    return evaluate_model(
        resolve_model(str(world / "run")),
        open_artefacts(folder),
        EvaluationSettings(task="classification"),
        device="cpu",
    )


def refused(folder: Path, world: Path) -> str:
    """The one sentence that is told."""
    with pytest.raises(ShapecnnError) as caught:
        use(folder, world)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 800
    return message


def test_what_is_sound_is_used(world: Path) -> None:
    for name in ("grids", "run", "index"):
        assert use(world / name, world)


FILES = {
    "grids": ["manifest.parquet", "settings.json", "box/test/2.binvox"],
    "run": ["model.json", "model.safetensors", "split.json", "gallery.safetensors"],
    "index": ["index.json", "shapes.parquet", "features.safetensors"],
}
EACH = [(name, file) for name, files in FILES.items() for file in files]


@pytest.mark.parametrize("save", [pickle.dump, torch.save, np.save])
@pytest.mark.parametrize(("name", "file"), EACH)
def test_a_pickle_in_the_place_of_any_file_is_not_run(
    name: str, file: str, save: Callable[..., None], world: Path, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, sprung = copy(name), tmp_path / "sprung"
    with (folder / file).open("wb") as opened:
        if save is np.save:
            np.save(opened, np.array([Trap(sprung)], object), allow_pickle=True)
        else:
            save(Trap(sprung), opened)
    reseal(folder)
    assert str(folder / file) in refused(folder, world)
    assert [finding.fault for finding in verify(folder).findings] == ["corrupt"] or file.endswith(".binvox")
    assert not sprung.exists()


# --- what is forged ---

WRONG: list[Any] = [None, True, -1, 10**30, 0.5, "", "../../etc/passwd", [], [[]], {}, {"kind": "x"}, "x" * 100_000]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the parts of a JSON value are, itself included."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def altered(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    """The value with the part at ``path`` replaced; removed if ``change`` is ``...``."""
    if not path:
        return change if change is not ... else None
    value = json.loads(json.dumps(value))
    place = value
    for key in path[:-1]:
        place = place[key]
    if change is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = change
    return value


@pytest.mark.parametrize(("name", "file"), [each for each in EACH if each[1].endswith(".json")])
def test_a_description_of_anything_is_used_or_refused_in_a_sentence(
    name: str, file: str, world: Path, copy: Callable[[str], Path]
) -> None:
    """Each part left out, and each replaced by something else; what is not used may be anything."""
    folder = copy(name)
    sound = json.loads((folder / file).read_bytes())
    chance = random.Random(file)
    told = set()
    for path in places(sound):
        for change in (..., *chance.sample(WRONG, 2)):
            forge(folder, file, lambda _, path=path, change=change: altered(sound, path, change))
            told.add(outcome(folder))
    assert len(told) > 3


def outcome(folder: Path) -> str:
    """What is said of a folder when it is opened and all of it is read; nothing if it can be used."""
    message = ""
    try:
        if folder.name == "run":
            run = open_run(folder)
            assert all((run.network.build(), run.head.classifier(), run.head.gallery()))
        elif folder.name == "index":
            assert read_index(folder).record.open(folder)
        else:
            artefacts = open_artefacts(folder)
            assert [Input.of(artefacts.settings).read(artefacts, entry) for entry in artefacts.entries]
    except ShapecnnError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def change_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)
    reseal(path.parent)


def fill(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.full_like(array, value)


UNFIT = [fill(np.nan), fill(np.inf), np.transpose, lambda array: array[:0], lambda array: array[None]]


@pytest.mark.parametrize("change", UNFIT)
@pytest.mark.parametrize(
    ("name", "file", "tensor"),
    [
        ("index", "features.safetensors", "features"),
        ("run", "gallery.safetensors", "units"),
        ("run", "model.safetensors", "classifier.weight"),
    ],
)
def test_numbers_of_any_shape_end_in_a_sentence(
    name: str, file: str, tensor: str, change: Any, copy: Callable[[str], Path]
) -> None:
    folder = copy(name)
    change_tensors(folder / file, lambda tensors: tensors.update({tensor: change(tensors[tensor]).copy()}))
    assert f"{file} has invalid content" in outcome(folder)


@pytest.mark.parametrize("value", [np.nan, 1e38])
def test_weights_that_lead_to_no_numbers_end_in_a_sentence(
    value: float, world: Path, copy: Callable[[str], Path]
) -> None:
    folder = copy("run")
    change_tensors(
        folder / "model.safetensors",
        lambda tensors: tensors.update({"parts.conv1.weight": fill(value)(tensors["parts.conv1.weight"])}),
    )
    with contextlib.suppress(StoredDataError):  # OpenVINO takes no number for 0 where torch does not
        (prediction,) = use(folder, world)
        assert all(0 <= candidate.score <= 1 for candidate in prediction.top)
    model = resolve_model(str(folder))
    engine = TorchEngine(model, "cpu")
    with pytest.raises(StoredDataError, match="computes infinite values or NaN"):
        engine.start(0, np.ones((4, 16, 16, 16), np.uint8))


def header_of(shape: list[int], kind: str = "F32", size: int = 16) -> bytes:
    """A safetensors file of one tensor that promises a shape and has but a few bytes."""
    text = json.dumps({"features": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


@contextlib.contextmanager
def little_memory(more: int) -> Iterator[None]:
    """What takes so many bytes more than there are taken ends in a MemoryError. (tracemalloc would say how many, and
    now and then crashes beside the threads of pyarrow.)"""
    taken = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert taken is not None
    former = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1024 * int(taken[1]) + more, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, former)


@pytest.mark.parametrize(
    "content",
    [
        header_of([10**9, 1280]),
        header_of([2**62, 4]),
        header_of([10**9, 0], size=0),
        header_of([-1, 4]),
        (2**60).to_bytes(8, "little") + b"{}",
        b"",
        b"\xff" * 100,
    ],
)
def test_shapes_promised_and_not_there_take_no_memory(content: bytes, world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    (folder / "features.safetensors").write_bytes(content)
    size = 0 if b", 0]" in content else 4
    forge(folder, "index.json", lambda header: {**header, "count": 10**9, "feature_size": size})
    read_index(world / "index")  # what is imported on the way
    with little_memory(100 << 20):
        message = refused(folder, world)
    assert "features.safetensors has invalid content" in message


@pytest.mark.parametrize("width", [512, 64])
def test_a_network_larger_than_its_weights_is_never_built(
    width: int, world: Path, copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("run")
    forge(folder, "model.json", lambda d: {**d, "network": {**d["network"], "width": width}})
    made: list[torch.device] = []
    real = torch.nn.Conv3d.__init__

    def noticed(self: torch.nn.Conv3d, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        made.append(self.weight.device)

    monkeypatch.setattr(torch.nn.Conv3d, "__init__", noticed)
    assert "weights does not fit model.json" in refused(folder, world)
    assert {device.type for device in made} == {"meta"}


@pytest.mark.parametrize("name", ["features", "gallery"])
def test_rows_of_any_length_are_not_compared(name: str, world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    features = load_file(folder / "features.safetensors")["features"]
    tensors = {"features": features, "gallery": features.copy()}
    save_file(tensors, folder / "features.safetensors")
    forge(folder, "index.json", lambda header: {**header, "gallery": 1})
    assert use(folder, world)
    for far in (9, -9):
        tensors[name].flat[0] = far
        save_file(tensors, folder / "features.safetensors")
        reseal(folder)
        assert "features are not of unit length" in refused(folder, world)


def test_a_number_of_views_that_nobody_draws_is_refused(world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    forge(folder, "index.json", lambda header: {**header, "views": 50})
    assert "views" in refused(folder, world)


def test_rows_of_no_numbers_are_not_compared(world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    rows = load_file(folder / "features.safetensors")["features"]
    for name in ("features", "gallery", "views"):
        tensors = {"features": rows.copy(), "gallery": rows.copy(), "distinct": np.ones(len(rows), np.uint8),
                   "views": rows[:, None].repeat(12, 1).astype("<f2")}  # fmt: skip
        tensors[name].flat[0] = np.nan
        save_file(tensors, folder / "features.safetensors")
        forge(folder, "index.json", lambda header: {**header, "gallery": VERSION, "views": 12})
        assert f"the array {name} contains NaN or infinity" in refused(folder, world)
    save_file({"features": rows[:, :0]}, folder / "features.safetensors")
    forge(folder, "index.json", lambda header: {**header, "feature_size": 0, "gallery": 0, "views": 0})
    assert "the feature vectors have no values" in refused(folder, world)


def test_shapes_that_are_not_those_of_the_rows_are_refused(world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    items = read_index(folder).shapes
    for listed in (items[1:], items[::-1], [items[0], *items[:-1]]):
        (folder / "shapes.parquet").write_bytes(table_bytes(IndexedShape, listed))
        reseal(folder)
        assert "the shapes of the index in order of id" in refused(folder, world)


def test_a_table_that_grows_out_of_nothing_is_not_read(world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("index")
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(3000, np.int32), ["x" * 100_000])
    columns = dict.fromkeys(("id", "label", "split", "sha256", "path"), same)  # 1.5 GB of text in some kilobytes
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "shapes.parquet", store_schema=False)
    assert (folder / "shapes.parquet").stat().st_size < 1e5
    reseal(folder)
    assert "3000 rows, more than the limit of 9" in refused(folder, world)
    forge(folder, "index.json", lambda header: {**header, "count": 3000})
    save_file({"features": np.zeros((3000, 4), np.float32)}, folder / "features.safetensors")
    forge(folder, "index.json", lambda header: {**header, "feature_size": 4})
    with little_memory(300 << 20):  # not the 1.5 GB that the text would take
        assert "in order of id" in refused(folder, world)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none", "brotli"])
def test_a_table_of_another_compression_is_not_read(codec: str, world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy("grids")
    table = pyarrow.parquet.read_table(folder / "manifest.parquet")
    pyarrow.parquet.write_table(table, folder / "manifest.parquet", compression=codec)
    reseal(folder)
    assert "the table is not compressed with snappy" in refused(folder, world)


def test_json_nested_without_end_is_refused(world: Path, copy: Callable[[str], Path]) -> None:
    for name, file in EACH:
        if file.endswith(".json"):
            folder = copy(name)
            (folder / file).write_bytes(b'{"a":' * 200_000)
            reseal(folder)
            refused(folder, world)
            shutil.rmtree(folder)


# --- paths that lead out ---


@pytest.mark.parametrize("out", ["../secret.binvox", "/etc/passwd", "box/../../secret.binvox"])
def test_a_hash_of_a_file_elsewhere_is_refused(out: str, world: Path, copy: Callable[[str], Path]) -> None:
    from shapecnn.storage.checksums import SUMS, sums_bytes

    folder = copy("grids")
    (folder / SUMS).write_bytes(sums_bytes({out: "0" * 64}))
    assert "line 2 does not consist of a SHA-256 hash and a relative path inside this folder" in refused(folder, world)


def test_an_id_that_leads_out_is_not_read(world: Path, copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("grids")
    shutil.copy(folder / "box/test/2.binvox", tmp_path / "secret.binvox")
    table = pyarrow.parquet.read_table(folder / "manifest.parquet").to_pylist()
    schema = pyarrow.parquet.read_schema(folder / "manifest.parquet")
    table[0]["id"] = "../secret.off"
    table[0]["split"] = "test"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table, schema), folder / "manifest.parquet")
    reseal(folder)
    assert "has no hash of ../secret.binvox" in refused(folder, world)


@pytest.mark.parametrize("name", [".lock", ".partial", ".publish", ".publish.tmp"])
def test_a_link_in_the_place_of_what_a_writer_keeps_is_refused(name: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter").write_text("dear")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(precious / "letter" if name == ".lock" else precious)
    with pytest.raises(UsageError, match="is a link"), exclusive(tmp_path / "run"):
        pytest.fail("it was written")
    assert (precious / "letter").read_text() == "dear"


@pytest.mark.parametrize(("name", "file"), EACH)
def test_what_never_ends_is_not_waited_for(name: str, file: str, world: Path, copy: Callable[[str], Path]) -> None:
    folder = copy(name)
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
        (folder / file).unlink()
        make(folder / file)
        assert re.search("the path is not a regular file|the path is a link", refused(folder, world))
        assert {finding.fault for finding in verify(folder).findings} == {"corrupt"}


def test_ids_and_labels_are_only_ever_text_on_a_page(world: Path) -> None:
    from dataclasses import replace

    from shapecnn.report.pages import query_page
    from shapecnn.search.neighbours import Hit
    from shapecnn.search.query import Answer

    index = read_index(world / "index")
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    item = replace(index.shapes[0], id=evil, label=evil, path=evil)
    page = query_page([Answer(evil, "z", [Hit(item, 1.0)])], replace(index, shapes=[item]), evil)
    require_safe(page)  # its own script alone
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") > 3


# --- zips ---


def packed(path: Path, sizes: dict[str, int]) -> zipfile.ZipFile:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in sizes.items():
            archive.writestr(name, bytes(size))
    return zipfile.ZipFile(path)


def test_a_zip_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        packed(tmp_path / "a.zip", {"a.off": 9_000_000}) as bomb,
        pytest.raises(ArchiveError, match="would unpack"),
    ):
        check_members(bomb)
    with packed(tmp_path / "many.zip", {f"{i}.off": 1 for i in range(11)}) as many:
        assert len(check_members(many)) == 11
        monkeypatch.setattr("shapecnn.meshes.zips.MAX_MEMBERS", 10)
        with pytest.raises(ArchiveError, match="holds 11 files, more than 10"):
            check_members(many)
