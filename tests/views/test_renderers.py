"""Three renderers, one picture: our rasterizer beside Embree and OpenGL, on real meshes; and life without those two."""

from __future__ import annotations

import ctypes.util
import functools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from shapecnn.errors import MissingLibraryError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.settings.views_and_grids import Fit, ViewSettings
from shapecnn.views import render_views
from tests.views.shapes import letter_f

CHUNKS = 4  # of the hundred meshes, so that the test processes share them


def _works(renderer: str) -> bool:
    try:
        render_views(normalize(letter_f()), ViewSettings(size=16, renderer=renderer))
    except MissingLibraryError:
        return False
    return True


needs_open3d = pytest.mark.skipif(
    not _works("open3d"), reason="Open3D does not load here: apt-get install libusb-1.0-0"
)
needs_pyrender = pytest.mark.skipif(
    not _works("pyrender"), reason="pyrender cannot draw here: apt-get install libegl1 libgl1"
)


@functools.cache
def hundred_meshes(data: Path) -> list[Mesh]:
    shapes = list_shapes(data / "psb.zip")
    chosen = shapes[:: len(shapes) // 100][:100]
    return [normalize(upright(read_mesh(shape.read(), shape.id), "y")) for shape in chosen]


def compare(
    mesh: Mesh, renderer: str, fit: Fit = "sphere"
) -> tuple[float, float, NDArray[np.bool_], NDArray[np.bool_]]:
    """IoU of the masks of all views, mean difference of grey inside both, and the two masks."""
    ours = render_views(mesh, ViewSettings(samples=1, fit=fit))
    theirs = render_views(mesh, ViewSettings(samples=1, fit=fit, renderer=renderer))
    mine, other = ours < 255, theirs < 255
    inside = mine & other
    grey = np.abs(ours[inside].astype(int) - theirs[inside]).mean()
    return float(inside.sum() / (mine | other).sum()), float(grey), mine, other


@needs_open3d
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_embree_sees_the_same_through_the_same_pixel_centres(data_dir: Path, chunk: int) -> None:
    for mesh in hundred_meshes(data_dir)[chunk::CHUNKS]:
        iou, grey, _, _ = compare(mesh, "open3d")
        assert iou >= 0.999
        assert grey <= 2


@needs_pyrender
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_opengl_sees_the_same(data_dir: Path, chunk: int) -> None:
    """Closer than multisampling would allow (median IoU 0.977): it is switched off in our door to pyrender."""
    for mesh in hundred_meshes(data_dir)[chunk::CHUNKS]:
        iou, grey, mine, other = compare(mesh, "pyrender")
        assert iou >= 0.99
        assert grey <= 3
        for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            moved = np.roll(other, shift, axis=(1, 2))
            assert (mine & moved).sum() / (mine | moved).sum() < iou


@pytest.mark.parametrize(
    "renderer", [pytest.param("open3d", marks=needs_open3d), pytest.param("pyrender", marks=needs_pyrender)]
)
@pytest.mark.parametrize("fit", ["sphere", "view"])
def test_an_asymmetric_shape_is_neither_mirrored_nor_turned(renderer: str, fit: Fit) -> None:
    iou, grey, _, _ = compare(normalize(letter_f()), renderer, fit)
    assert iou >= 0.999
    assert grey <= 1


@pytest.mark.parametrize(
    "renderer", [pytest.param("open3d", marks=needs_open3d), pytest.param("pyrender", marks=needs_pyrender)]
)
@pytest.mark.parametrize("fit", ["sphere", "view"])
def test_every_renderer_draws_the_same_silhouettes_from_afar(renderer: str, fit: Fit) -> None:
    """Although float32, in which two of them compute, is coarse 10,000 radii away."""
    settings = {"silhouettes": True, "size": 128, "fit": fit}
    ours, theirs = (
        render_views(normalize(letter_f()), ViewSettings(**settings, renderer=name)) for name in ("raster", renderer)
    )
    assert (ours != theirs).mean() < 1e-4


@pytest.mark.parametrize(
    "renderer", [pytest.param("open3d", marks=needs_open3d), pytest.param("pyrender", marks=needs_pyrender)]
)
def test_every_renderer_averages_its_samples(renderer: str) -> None:
    mesh = normalize(letter_f())
    ours = render_views(mesh, ViewSettings(size=64, samples=2)).astype(int)
    theirs = render_views(mesh, ViewSettings(size=64, samples=2, renderer=renderer))
    assert np.abs(ours - theirs).mean() < 0.1
    assert (
        np.unique(theirs).size > np.unique(render_views(mesh, ViewSettings(size=64, samples=1, renderer=renderer))).size
    )


# --- what we work around in pyrender, which is not maintained: docs/dependencies.md -----------------------------------


@pytest.mark.skipif(ctypes.util.find_library("EGL") is None, reason="no EGL here: apt-get install libegl1")
def test_pyrender_loads_wherever_egl_does() -> None:
    """Without a display, and unasked; where it does not, the tests below are only skipped."""
    code = """
        from shapecnn.views.pyrender_renderer import _pyrender
        _pyrender()
        from OpenGL import platform
        print(type(platform.PLATFORM).__name__)
    """
    chosen = ("DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "EGLPlatform\n", done.stderr


@needs_pyrender
def test_pyrender_draws_both_sides_of_a_face() -> None:
    mesh = normalize(letter_f())
    turned = Mesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]))
    front, back = (render_views(m, ViewSettings(size=64, renderer="pyrender")).astype(int) for m in (mesh, turned))
    assert (np.abs(front - back) > 1).mean() < 0.001  # which of two faces has a pixel on their edge
    assert front.min() > 20  # black is what it makes of back faces


@needs_pyrender
def test_pyrender_blends_no_pixels() -> None:
    """Each pixel of one sample is the background or the grey of one of few faces."""
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    box = normalize(Mesh(np.array(box.vertices), box.faces.astype(np.int32)))
    for view in render_views(box, ViewSettings(size=128, samples=1, renderer="pyrender")):
        assert np.unique(view).size <= 1 + 6  # at most three sides of a box are seen, of two faces each


# Each name fails to import as it does where its system libraries are absent.
HIDE = """
import sys
needed = {"open3d": "libusb-1.0.so.0", "pyrender": "libEGL.so.1", "OpenGL": "libEGL.so.1"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        missing = needed.get(name.partition(".")[0])
        if missing:
            raise ImportError(f"{missing}: cannot open shared object file: No such file or directory")
sys.meta_path.insert(0, Absent())
"""


def without_libraries(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )


def test_without_egl_and_libusb_everything_else_works(tmp_path: Path) -> None:
    """Workers too: they are forked from a server that starts afresh, so it is given the same blindness."""
    mesh = letter_f()
    for name in ("a", "b"):
        lines = ["OFF", f"{len(mesh.vertices)} {len(mesh.faces)} 0", *(" ".join(map(str, v)) for v in mesh.vertices)]
        (tmp_path / "meshes" / name).mkdir(parents=True)
        (tmp_path / "meshes" / name / "f.off").write_text(
            "\n".join([*lines, *(f"3 {i} {j} {k}" for i, j, k in mesh.faces)])
        )
    blind = tmp_path / "blind"
    blind.mkdir()
    (blind / "sitecustomize.py").write_text(HIDE)
    meshes, commands = str(tmp_path / "meshes"), {
        "render": [str(tmp_path / "views")], "voxelize": [str(tmp_path / "grids")], "index": [str(tmp_path / "index")],
    }  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(blind)}
    for command, arguments in commands.items():
        done = subprocess.run(
            [sys.executable, "-m", "shapecnn", command, meshes, *arguments, "--json"],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["failed"] == 0
    query = [sys.executable, "-m", "shapecnn", "query", str(tmp_path / "index"), f"{meshes}/a/f.off", "--json"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    blinded = subprocess.run([sys.executable, "-c", "import open3d"], capture_output=True, check=False, env=environment)
    assert blinded.returncode != 0  # the libraries were hidden indeed


@pytest.mark.parametrize(("renderer", "remedy"), [("open3d", "libusb-1.0-0"), ("pyrender", "libegl1")])
def test_a_renderer_without_its_library_says_what_to_install(renderer: str, remedy: str) -> None:
    done = without_libraries(f"""
        from shapecnn.settings.views_and_grids import ViewSettings
        from shapecnn.errors import MissingLibraryError
        from shapecnn.views import render_views
        from tests.views.shapes import letter_f
        try:
            render_views(letter_f(), ViewSettings(renderer="{renderer}"))
        except MissingLibraryError as error:
            print(error)
    """)
    assert remedy in done.stdout, done.stderr
