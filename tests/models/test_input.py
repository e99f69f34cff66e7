"""What a network sees: the same from artefacts and from meshes, and never what was made otherwise."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.artefacts.imports import import_artefacts
from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.cli import render
from shapecnn.cli import voxelize as voxelize_command
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes.mesh import Mesh, load_mesh
from shapecnn.models.input import Input
from shapecnn.models.untrained import UntrainedModel
from shapecnn.settings.base import Settings, settings_hash
from shapecnn.settings.views_and_grids import ImportedViewSettings, ImportedVoxelSettings, ViewSettings, VoxelSettings
from shapecnn.storage.sealed import Sealed
from shapecnn.views import render_views
from shapecnn.voxels import occupancy_grids
from shapecnn.workers.pool import Workers
from tests.solids import write_box

VIEWS = ViewSettings(size=16)
VOXELS = VoxelSettings(resolution=12, padding=1)


def corner() -> Mesh:
    """A tetrahedron with edges of three lengths along the axes: no turn about z leaves it as it is."""
    vertices = np.array([[0, 0, 0], [1.0, 0, 0], [0, 0.7, 0], [0, 0, 0.9]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    return Mesh(vertices, faces)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    write_box(folder / "box/train/a.off", 1, 2, 5)
    write_box(folder / "box/train/b.off", 1, 3, 4)
    return folder


@pytest.fixture
def made(meshes: Path, tmp_path: Path) -> Callable[..., Artefacts]:
    def make(settings: ViewSettings | VoxelSettings, layout: str = "sheet") -> Artefacts:
        out = tmp_path / settings.digest() / layout
        prepare_collection(meshes, out, Recipe(settings, layout), command="", workers=Workers(1))  # type: ignore[arg-type]
        return open_artefacts(out)

    return make


def described(settings: Settings, folder: str = "there") -> Artefacts:
    """Artefacts of which only the settings matter."""
    layout = {"layout": "sheet"} if settings.model_dump()["kind"] == "views" else {}
    stored = {"schema_version": 1, **settings.to_json(), **layout}
    return Artefacts(Path(folder), stored, (), {}, Sealed(Path(folder), {}, ""))


@pytest.mark.parametrize(
    "settings",
    [VIEWS, VIEWS.model_copy(update={"fit": "view", "views": 20}), VOXELS, VOXELS.model_copy(update={"rotations": 3})],
)
def test_a_mesh_looks_like_its_artefacts(
    settings: ViewSettings | VoxelSettings, meshes: Path, made: Callable[..., Artefacts]
) -> None:
    artefacts = made(settings)
    seen = Input.of(artefacts.settings, turns=4 if settings.kind == "voxels" else 1)
    for entry in artefacts.entries:
        array = seen.read(artefacts, entry)
        drawn = seen.draw(load_mesh(meshes / entry.id))
        assert array.dtype == drawn.dtype == np.uint8
        np.testing.assert_array_equal(array, drawn)


def test_pictures_are_those_that_were_drawn_in_either_layout(meshes: Path, made: Callable[..., Artefacts]) -> None:
    for layout in ("sheet", "files"):
        artefacts = made(VIEWS, layout)
        array = Input.of(artefacts.settings).read(artefacts, artefacts.entries[0])
        np.testing.assert_array_equal(array, render_views(load_mesh(meshes / "box/train/a.off"), VIEWS))


def test_quarter_turns_are_those_of_the_mesh() -> None:
    """Counter-clockwise about z, in order, as if the mesh itself were turned and filled."""
    array = Input(VOXELS, turns=4).draw(corner())
    assert (array.shape, array.dtype) == ((4, 12, 12, 12), np.uint8)
    assert set(np.unique(array)) == {0, 1}
    expected = occupancy_grids(corner(), VOXELS.model_copy(update={"rotations": 4}))
    np.testing.assert_array_equal(array, expected)
    assert len({turned.tobytes() for turned in array}) == 4
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = Mesh(corner().vertices @ quarter.T, corner().faces)
    np.testing.assert_array_equal(Input(VOXELS).draw(turned)[0], array[1])


def test_quarter_turns_leave_up_where_it_is() -> None:
    array = Input(VOXELS, turns=4).draw(corner())
    layers = array.sum(axis=(1, 2))  # cells at each height
    assert len(set(layers[0])) > 1
    for turned in layers:
        np.testing.assert_array_equal(turned, layers[0])


@pytest.mark.parametrize(("turns", "quarters"), [(1, [0]), (2, [0, 2]), (4, [0, 1, 2, 3])])
def test_fewer_turns_are_spread_evenly(turns: int, quarters: list[int]) -> None:
    array = Input(VOXELS, turns).draw(corner())
    np.testing.assert_array_equal(array, Input(VOXELS, 4).draw(corner())[quarters])


def test_grids_that_were_made_in_rotations_are_not_turned_again() -> None:
    settings = VOXELS.model_copy(update={"rotations": 3})
    np.testing.assert_array_equal(Input(settings, turns=4).draw(corner()), occupancy_grids(corner(), settings))


def test_what_was_made_the_same_way_is_accepted() -> None:
    for settings in (VIEWS, VOXELS, ImportedViewSettings(views=12, size=16), ImportedVoxelSettings(resolution=30)):
        Input(settings).require(described(settings))
    Input(VIEWS).require(described(VIEWS.model_copy(update={"up": "y", "views": 80})))
    Input(VIEWS.model_copy(update={"up": "x"})).require(described(VIEWS))
    Input(VOXELS).require(described(VOXELS.model_copy(update={"rotations": 12, "up": "y"})))
    Input(ImportedViewSettings(views=12, size=16)).require(described(ImportedViewSettings(views=20, size=16)))


@pytest.mark.parametrize("views", [6, 20, 80])
def test_neighbouring_views_are_as_far_apart_as_in_training(views: int) -> None:
    seen = Input(VIEWS, neighbours=True)
    seen.require(described(VIEWS.model_copy(update={"up": "y"})))
    with pytest.raises(MismatchError) as caught:
        seen.require(described(VIEWS.model_copy(update={"views": views})), "my/run")
    assert str(caught.value) == (
        f"there was made with other settings than my/run was trained on (views is {views} there and 12 here). "
        f"To make matching artefacts: shapecnn render COLLECTION OUT --size 16"
    )


@pytest.mark.parametrize(
    ("trained", "given", "difference", "command"),
    [
        (VIEWS, ViewSettings(), "(size is 224 there and 16 here)", "shapecnn render COLLECTION OUT --size 16"),
        (
            ViewSettings(fit="view", samples=4, views=20),
            ViewSettings(renderer="open3d"),
            "(fit is 'sphere' there and 'view' here, renderer is 'open3d' there and 'raster' here, "
            "samples is 2 there and 4 here)",
            "shapecnn render COLLECTION OUT --views 20 --samples 4 --fit view",
        ),
        (
            VoxelSettings(resolution=32, padding=1, fill="surface", rotations=12),
            VoxelSettings(),
            "(fill is 'solid' there and 'surface' here, padding is 3 there and 1 here, "
            "resolution is 30 there and 32 here)",
            "shapecnn voxelize COLLECTION OUT --resolution 32 --padding 1 --fill surface --rotations 12",
        ),
        (ViewSettings(renderer="pyrender"), VoxelSettings(), "(kind is 'voxels' there and 'views' here)",
         "shapecnn render COLLECTION OUT --renderer pyrender"),
        (VoxelSettings(), ViewSettings(), "(kind is 'views' there and 'voxels' here)",
         "shapecnn voxelize COLLECTION OUT"),
        (
            ImportedViewSettings(views=12, size=16),
            ImportedViewSettings(views=12, size=32),
            "(size is 32 there and 16 here)",
            "shapecnn data import SRC OUT --layout LAYOUT",
        ),
    ],
)  # fmt: skip
def test_what_was_made_otherwise_is_refused_with_the_way_out(
    trained: ViewSettings | VoxelSettings, given: Settings, difference: str, command: str
) -> None:
    with pytest.raises(MismatchError) as caught:
        Input(trained).require(described(given), "my/run")
    before, _, remedy = str(caught.value).partition(f" {difference}. ")
    assert before == "there was made with other settings than my/run was trained on"
    assert remedy.partition(": ")[2] == command


@pytest.mark.parametrize(
    ("given", "way_out"),
    [
        (ViewSettings(fit="view"), "To use these artefacts: --set fit=view"),
        (VOXELS, "To make matching artefacts: shapecnn render COLLECTION OUT"),
        (ImportedViewSettings(views=12, size=224), "To make matching artefacts: shapecnn render COLLECTION OUT"),
    ],
)
def test_a_model_without_training_is_set_to_what_is_there_if_it_can_be(given: Settings, way_out: str) -> None:
    with pytest.raises(MismatchError, match=rf"than @imagenet expects \(.*\)\. {way_out}$"):
        UntrainedModel.of().input.require(described(given), "@imagenet")


@pytest.mark.parametrize(
    "settings",
    [
        ViewSettings(size=100, samples=3, fit="view", renderer="open3d", views=80),
        VoxelSettings(resolution=32, padding=1, fill="surface", rotations=12),
    ],
)
def test_the_way_out_is_a_command_that_makes_such(settings: ViewSettings | VoxelSettings) -> None:
    words = shlex.split(Input(settings).remedy().partition(": ")[2])
    command = {"render": render.command, "voxelize": voxelize_command.command}[words[1]]
    options = command.make_context(words[1], words[2:]).params
    values = {key: options[key] for key in type(settings).model_fields if key in options}
    values["simplify"] = options["max_faces"] if options["simplify"] else None
    if "views" in values:
        values["views"] = int(values["views"])
    assert type(settings).from_options(**values) == settings


def test_own_and_imported_are_never_taken_for_each_other() -> None:
    own, imported = ViewSettings(size=16), ImportedViewSettings(views=12, size=16)
    for one, other in ((own, imported), (imported, own)):
        with pytest.raises(MismatchError, match="origin is "):
            Input(one).require(described(other))


def test_settings_come_back_from_json() -> None:
    for settings in (
        VIEWS,
        VOXELS.model_copy(update={"rotations": 12}),
        ImportedViewSettings(views=20, size=16),
        ImportedVoxelSettings(resolution=30),
    ):
        stored = json.loads(json.dumps(Input(settings, 2).to_json()))
        again = Input.of(stored, 2)
        assert again == Input(settings, 2)
        assert again.to_json() == stored
        assert stored.pop("hash") == settings_hash(stored)
        assert Input.of(described(settings).settings, 2) == again


def test_which_axis_was_up_is_no_part_of_what_is_seen() -> None:
    upright = Input(VIEWS.model_copy(update={"up": "y"}))
    assert upright.to_json() == Input(VIEWS).to_json()
    assert Input.of(described(upright.settings).settings) == Input(VIEWS)
    assert upright.drawing("x").up == "x"


def test_a_setting_of_another_version_is_told() -> None:
    stored = {**Input(VIEWS).to_json(), "drawing": 3}
    with pytest.raises(UsageError, match="drawing = 3"):
        Input.of(stored)


def test_what_others_made_is_drawn_our_way_in_their_size() -> None:
    seen = Input(ImportedViewSettings(views=20, size=24))
    assert (seen.kind, seen.side, seen.imported) == ("views", 24, True)
    assert seen.drawing("y") == ViewSettings(views=20, size=24, up="y")
    assert seen.draw(corner()).shape == (20, 24, 24)
    grids = Input(ImportedVoxelSettings(resolution=30), 4)
    assert (grids.kind, grids.side, grids.imported) == ("voxels", 30, True)
    assert grids.drawing() == VoxelSettings(resolution=30)
    assert (Input(VIEWS).imported, Input(VIEWS).side, Input(VOXELS).side) == (False, 16, 12)


@pytest.mark.parametrize("resolution", range(1, 8))
def test_grids_of_others_may_be_small(resolution: int) -> None:
    array = Input(ImportedVoxelSettings(resolution=resolution), 4).draw(corner())
    assert array.shape == (4, resolution, resolution, resolution)
    assert array.any()


def test_imported_grids_are_turned_and_imported_pictures_are_read(tmp_path: Path) -> None:
    cells = occupancy_grids(corner(), VOXELS)[0]
    packed = np.packbits(cells.reshape(1, -1), axis=1)
    np.savez(tmp_path / "v-train.npz", voxels=packed, labels=[0], classes=["corner"])
    import_artefacts(tmp_path / "v-train.npz", tmp_path / "grids", "voxels-npz", command="", workers=Workers(1))
    artefacts = open_artefacts(tmp_path / "grids")
    (entry,) = artefacts.entries
    array = Input.of(artefacts.settings, 4).read(artefacts, entry)
    np.testing.assert_array_equal(array, Input(VOXELS, 4).draw(corner()))

    for view in range(12):
        path = tmp_path / f"pictures/corner/train/a_{view:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * view).save(path)
    import_artefacts(tmp_path / "pictures", tmp_path / "views", "views-by-name", command="", workers=Workers(1))
    artefacts = open_artefacts(tmp_path / "views")
    (entry,) = artefacts.entries
    array = Input.of(artefacts.settings).read(artefacts, entry)
    assert array[:, 0, 0].tolist() == [10 * view for view in range(12)]


def test_pictures_are_not_read_as_grids(made: Callable[..., Artefacts]) -> None:
    artefacts = made(VIEWS)
    with pytest.raises(UsageError, match="holds views, not voxel grids"):
        Input(VOXELS).read(artefacts, artefacts.entries[0])


def test_artefacts_that_are_gone_are_told(made: Callable[..., Artefacts]) -> None:
    artefacts = made(VOXELS)
    entry: Entry = artefacts.entries[0]
    (artefacts.folder / "box/train/a.binvox").unlink()
    with pytest.raises(StoredDataError, match="cannot be read"):
        Input(VOXELS).read(artefacts, entry)


def test_another_orientation_than_the_model_was_made_for_is_refused(made: Callable[..., Artefacts]) -> None:
    upright, free = Input(VIEWS), Input(ViewSettings(size=16, orientation="auto"))
    upright.require_orientation(None, "run")
    free.require_orientation("auto", "run")
    with pytest.raises(MismatchError, match="run uses --orientation upright, not auto"):
        upright.require_orientation("auto", "run")
    with pytest.raises(MismatchError, match="orientation is 'auto' there and 'upright' here"):
        upright.require(made(ViewSettings(size=16, orientation="auto")))
    with pytest.raises(MismatchError, match="--orientation auto"):
        free.require(made(VIEWS))
    free.require(made(ViewSettings(size=16, orientation="auto", views=20)))
    assert Input.of(free.to_json()) == free


def test_with_orientation_auto_drawing_and_artefacts_agree(meshes: Path, made: Callable[..., Artefacts]) -> None:
    voxels = VoxelSettings(resolution=12, padding=1, orientation="auto")
    for settings in (ViewSettings(size=16, orientation="auto"), voxels):
        artefacts = made(settings)
        seen = Input.of(artefacts.settings)
        for entry in artefacts.entries:
            np.testing.assert_array_equal(seen.read(artefacts, entry), seen.draw(load_mesh(meshes / entry.id)))
