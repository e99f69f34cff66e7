from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import MismatchError, UsageError
from shapecnn.settings.base import Settings, parse_assignments
from shapecnn.settings.base import options as command_options
from shapecnn.settings.views_and_grids import (
    ImportedViewSettings,
    ViewSettings,
    VoxelSettings,
    require_current,
    require_same,
)

view_settings = st.builds(
    ViewSettings,
    views=st.integers(1, 360),
    size=st.integers(8, 4096),
    samples=st.integers(1, 8),
    fit=st.sampled_from(["sphere", "view"]),
    renderer=st.sampled_from(["raster", "pyrender", "open3d"]),
    up=st.sampled_from("xyz"),
)

LIGHT_FIELD = "silhouettes need views 100, samples 1 and orientation upright"


@pytest.mark.parametrize(
    ("settings", "canonical", "digest"),
    [
        (
            ViewSettings(),
            '{"drawing":2,"fit":"sphere","kind":"views","orientation":"upright","renderer":"raster","samples":2,'
            '"size":224,"up":"z","views":12}',
            "e10bc86cff42575a01a837fa03d2de9f4395507cd3d5407d6b9aa631e8c91577",
        ),
        (
            VoxelSettings(),
            '{"fill":"solid","filling":2,"kind":"voxels","orientation":"upright","padding":3,"resolution":30,'
            '"rotations":1,"up":"z"}',
            "7cf66d7eed91662839fc9856e497ab54b5859025d16003c5eb2b1f74e6887c10",
        ),
    ],
)
def test_the_defaults_and_their_digest_do_not_change_unnoticed(settings: Settings, canonical: str, digest: str) -> None:
    """Stored artefacts carry these: a red test means that every user's artefacts would have to be made anew."""
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest
    assert settings.digest() == digest


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from shapecnn.settings.views_and_grids import ViewSettings; print(ViewSettings(size=64, up='y').digest())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert shown == ViewSettings(up="y", size=64).digest()


@given(view_settings, view_settings)
def test_settings_are_the_same_exactly_when_their_hashes_are(one: ViewSettings, other: ViewSettings) -> None:
    assert (one == other) == (one.digest() == other.digest())


@given(view_settings)
def test_settings_come_back_from_their_json(settings: ViewSettings) -> None:
    stored = json.loads(json.dumps(settings.to_json()))
    assert stored.pop("hash") == settings.digest()
    assert ViewSettings.from_options(**stored) == settings
    require_same(settings.to_json(), settings.to_json(), "OUT", "")


def test_silhouettes_have_their_own_defaults_and_their_key_is_stored_only_with_them() -> None:
    assert "silhouettes" not in ViewSettings().to_json()
    settings = ViewSettings(silhouettes=True)
    assert (settings.views, settings.size, settings.samples) == (100, 256, 1)
    assert ViewSettings.from_options(silhouettes=True, views=100, samples=1, size=256) == settings
    stored = settings.to_json()
    assert stored.pop("silhouettes") is True
    assert stored.pop("hash") == settings.digest()
    assert ViewSettings.from_options(**stored).digest() != settings.digest()
    assert ViewSettings(simplify=9).to_json()["simplify"] == 9  # the key of the base class is later, too
    assert "simplify" not in stored


def test_a_flag_among_the_options_has_no_value() -> None:
    settings = {"size": 64, "silhouettes": True, "simplify": 8}
    assert command_options(settings, settings) == "--size 64 --silhouettes --max-faces 8 --simplify"
    assert command_options({"size": 64, "silhouettes": False}, ["size", "silhouettes"]) == "--size 64"


def test_views_and_voxels_never_share_a_digest() -> None:
    assert ViewSettings().to_json()["kind"] == "views"
    assert VoxelSettings().to_json()["kind"] == "voxels"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ViewSettings().size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("cls", "options", "sentence"),
    [
        (ViewSettings, {"sise": 224}, "Unknown key 'sise'; did you mean 'size'?"),
        (
            ViewSettings,
            {"cls": 1},
            "Unknown key 'cls'; known keys: simplify, keep_scale, orientation, views, kind, drawing, size, samples, "
            "fit, renderer, up, silhouettes.",
        ),
        (ViewSettings, {"views": 0}, "views = 0: Input should be greater than or equal to 1."),
        (ViewSettings, {"views": 361}, "views = 361: Input should be less than or equal to 360."),
        (ViewSettings, {"size": 0}, "size = 0: Input should be greater than or equal to 8."),
        (ViewSettings, {"size": "big"}, "size = 'big': Input should be a valid integer."),
        (ViewSettings, {"size": "224"}, "size = '224': Input should be a valid integer."),
        (ViewSettings, {"size": 224.0}, "size = 224.0: Input should be a valid integer."),
        (ViewSettings, {"samples": True}, "samples = true: Input should be a valid integer."),
        (ViewSettings, {"views": True}, "views = true: Input should be a valid integer."),
        (ViewSettings, {"drawing": True}, "drawing = true: Input should be a valid integer."),
        (VoxelSettings, {"filling": 1.0}, "filling = 1.0: Input should be a valid integer."),
        (ImportedViewSettings, {"views": "12", "size": 8}, "views = '12': Input should be a valid integer."),
        (ViewSettings, {"fit": 1}, "fit = 1: Input should be 'sphere' or 'view'."),
        (ViewSettings, {"size": None}, "size = null: Input should be a valid integer."),
        (ViewSettings, {"up": "w"}, "up = 'w': Input should be 'x', 'y' or 'z'."),
        (
            ViewSettings,
            {"samples": 9, "rendrer": "raster"},
            "samples = 9: Input should be less than or equal to 8. Unknown key 'rendrer'; did you mean 'renderer'?",
        ),
        (ViewSettings, {"silhouettes": 1}, "silhouettes = 1: Input should be true or false."),
        (ViewSettings, {"silhouettes": True, "views": 12}, f"{LIGHT_FIELD}, not views 12."),
        (ViewSettings, {"silhouettes": True, "views": 100.0}, "views = 100.0: Input should be a valid integer."),
        (ViewSettings, {"silhouettes": True, "samples": 2, "size": 64}, f"{LIGHT_FIELD}, not samples 2."),
        (ViewSettings, {"silhouettes": True, "orientation": "auto"}, f"{LIGHT_FIELD}, not orientation auto."),
        (
            ViewSettings,
            {"silhouettes": True, "orientation": "auto", "samples": 2, "views": 24},
            f"{LIGHT_FIELD}, not views 24, samples 2, orientation auto.",
        ),
        (VoxelSettings, {"padding": -1}, "padding = -1: Input should be greater than or equal to 0."),
        (
            VoxelSettings,
            {"resolution": 6, "padding": 3},
            "resolution 6 leaves no cell inside a padding of 3 on both sides; use a smaller padding.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_sentences(cls: type[Settings], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        cls.from_options(**options)
    assert str(caught.value) == sentence


def test_one_cell_inside_the_padding_is_enough() -> None:
    assert VoxelSettings.from_options(resolution=7, padding=3).resolution == 7


def test_a_mismatch_names_both_values_and_the_way_out() -> None:
    stored = ViewSettings(size=112, up="y").to_json()
    with pytest.raises(MismatchError) as caught:
        require_same(ViewSettings().to_json(), stored, "OUT", "To make it anew: shapecnn render A OUT")
    assert str(caught.value) == (
        "OUT was made with other settings (size is 112 there and 224 here, up is 'y' there and 'z' here)."
        " To make it anew: shapecnn render A OUT"
    )


def test_settings_of_another_kind_or_version_are_a_mismatch() -> None:
    with pytest.raises(MismatchError, match="kind is 'voxels' there and 'views' here"):
        require_same(ViewSettings().to_json(), VoxelSettings().to_json(), "OUT", "")
    stored = ViewSettings().to_json()
    with pytest.raises(MismatchError, match="drawing is not set there and 2 here"):
        require_same(
            ViewSettings().to_json(), {k: v for k, v in stored.items() if k not in ("drawing", "hash")}, "OUT", ""
        )
    with pytest.raises(MismatchError, match="the stored hash is wrong"):
        require_same(ViewSettings().to_json(), {**stored, "hash": "0"}, "OUT", "")


def test_of_another_kind_or_origin_nothing_else_is_told() -> None:
    """Pictures have no cells: the message listed all that each has and the other has not."""
    with pytest.raises(MismatchError) as caught:
        require_same(VoxelSettings().to_json(), ViewSettings(up="y").to_json(), "OUT", "Name another folder.")
    told = "OUT was made with other settings (kind is 'views' there and 'voxels' here). Name another folder."
    assert str(caught.value) == told
    with pytest.raises(MismatchError, match=r"\(origin is 'imported' there and 'own' here\)"):
        require_same(ViewSettings().to_json(), ImportedViewSettings(views=80, size=64).to_json(), "OUT", "")
    with pytest.raises(MismatchError, match=r"\(simplify is not set there and 100 here\)"):
        require_same(ViewSettings(simplify=100).to_json(), ViewSettings().to_json(), "OUT", "")


@pytest.mark.parametrize(("settings", "key"), [(ViewSettings(), "drawing"), (VoxelSettings(), "filling")])
def test_what_another_version_made_is_told_as_that(settings: ViewSettings | VoxelSettings, key: str) -> None:
    stored = settings.to_json()
    with pytest.raises(MismatchError) as caught:
        require_same(settings.to_json(), {**stored, key: 1, "hash": "0"}, "OUT", "Make it anew.")
    assert str(caught.value) == (
        "OUT was made by an earlier version of shapecnn, which cut concave polygons into wrong triangles "
        f"({key} is 1 there and 2 here). Make it anew."
    )
    with pytest.raises(MismatchError, match=rf"^RUN was made by a later version of shapecnn \({key} is 3 there and 2"):
        require_current({**stored, key: 3}, "RUN", "Update shapecnn.")
    require_current(stored, "OUT", "")
    require_current({"kind": "views", "origin": "imported"}, "OUT", "")


def test_assignments_are_read_as_yaml() -> None:
    assert parse_assignments(
        ("views=20", " fit = view", "a=b=c", "rate=1.0e-3", "small=1e-3", "list=[1, 2]", "none=")
    ) == {
        "views": 20,
        "fit": "view",
        "a": "b=c",
        "rate": 1e-3,
        "small": 1e-3,
        "list": [1, 2],
        "none": None,
    }
    assert parse_assignments(("size=1", "size=2")) == {"size": 2}
    assert parse_assignments(()) == {}


@pytest.mark.parametrize("text", ["views", "=12", " = 12"])
def test_an_assignment_needs_a_key_and_an_equals_sign(text: str) -> None:
    with pytest.raises(UsageError, match=f"^--set '{text}' is not of the form key=value.$"):
        parse_assignments((text,))


@pytest.mark.parametrize(
    "value", ["[1", "a: b: c", "!!python/object/apply:os.getcwd []", "!!bool x", "9" * 5000, "[" * 3000 + "]" * 3000]
)
def test_an_assignment_that_is_not_yaml_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"^--set 'size=.{1,80}' cannot be read as YAML: .* in line 1[.]$") as caught:
        parse_assignments((f"size={value}",))
    assert len(str(caught.value)) < 300


def test_the_direct_constructor_is_as_strict() -> None:
    for options in ({"samples": True}, {"size": "224"}, {"size": 224.0}, {"drawing": True}):
        with pytest.raises(UsageError, match="Input should be a valid integer"):
            ViewSettings(**options)


def test_of_thousands_of_wrong_keys_a_few_are_told() -> None:
    """Each would cost as much as all of them together if what is wrong were looked for once a key."""
    wrong = {f"sise{i}": 0 for i in range(50_000)}
    with pytest.raises(UsageError) as caught:
        ViewSettings.from_options(**wrong, size=7)
    message = str(caught.value)
    assert message.startswith("size = 7: Input should be greater than or equal to 8. Unknown key 'sise0'; did you ")
    assert message.endswith("Unknown key 'sise3'; did you mean 'size'? More errors: 49,996.")


def test_a_long_key_or_value_is_not_told_in_full() -> None:
    with pytest.raises(UsageError) as caught:
        ViewSettings.from_options(**{"k" * 1_000_000: 1}, up="z" * 1_000_000, size=10**4000)
    assert len(str(caught.value)) < 600


def test_of_many_differences_a_few_are_told() -> None:
    stored = {**{f"key{i}": "v" * 1000 for i in range(1000)}, "hash": "0"}
    with pytest.raises(MismatchError) as caught:
        require_same({"hash": "1"}, stored, "OUT", "Make it anew.")
    assert "and 995 more). Make it anew." in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_without_an_up_24_views_are_the_default_and_12_have_nothing_to_circle() -> None:
    assert ViewSettings(orientation="auto").views == 24
    assert ViewSettings(orientation="auto", views=20).views == 20
    for views in (12, 6):
        with pytest.raises(
            UsageError, match=f"^orientation auto needs views from all sides: use 20, 24 or 80 views instead of {views}"
        ):
            ViewSettings.from_options(orientation="auto", views=views)
    assert ViewSettings(orientation="auto").digest() != ViewSettings(views=24).digest()
    assert VoxelSettings(orientation="auto").digest() != VoxelSettings().digest()
