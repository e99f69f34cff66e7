"""Golden pictures of one asymmetric mesh: every format and every --up gives the same F, upright and not mirrored.

Made by ``python -m tests.views.test_golden`` and looked at: view 0 reads as an F.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import trimesh
from PIL import Image

from shapecnn.meshes.mesh import Mesh, load_mesh, normalize, upright
from shapecnn.settings.views_and_grids import Up, ViewSettings
from shapecnn.views import contact_sheet, render_views
from tests.views.shapes import letter_f

FOLDER = Path(__file__).parent / "golden"
FORMATS = ["off", "obj", "stl", "ply", "glb", "gltf"]
SETTINGS = ViewSettings(size=96)


def sheet(mesh: Mesh) -> np.ndarray:
    return contact_sheet(render_views(mesh, SETTINGS))


def golden(up: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO((FOLDER / f"letter-f-up-{up}.png").read_bytes()))).astype(int)


def write(folder: Path, file_format: str) -> Path:
    mesh = letter_f()
    made = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    path = folder / f"f.{file_format}"
    if file_format == "gltf":
        for name, content in made.scene().export(file_type="gltf").items():
            (folder / name).write_bytes(content)
        return folder / "model.gltf"
    made.export(path)
    return path


@pytest.mark.parametrize("up", get_args(Up))
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_and_up_gives_the_golden_picture(tmp_path: Path, file_format: str, up: Up) -> None:
    difference = np.abs(sheet(load_mesh(write(tmp_path, file_format), up)) - golden(up))
    assert difference.mean() < 0.05  # formats in single precision move a sample on an edge here and there


def test_the_golden_picture_reads_as_an_f() -> None:
    """In view 0 the stem is at the left and the arms reach right, the long one on top."""
    view = golden("z")[:96, :96] < 255
    rows, columns = np.nonzero(view)
    left = columns.min()
    top, bottom = rows.min(), rows.max()
    widths = [np.ptp(np.flatnonzero(view[row])) + 1 for row in range(top, bottom + 1)]
    assert np.argmax(widths) < len(widths) / 3  # the longest arm in the upper third
    assert view[top + 3 : bottom - 8, left + 5].mean() > 0.8  # the stem all along the left
    assert columns.mean() < (left + columns.max()) / 2


def test_up_turns_the_mesh_as_the_contract_says() -> None:
    """y: (x, −z, y); x: (−z, y, x). Turning the z-up F the other way first gives the same picture."""
    z = letter_f()
    x, y, height = z.vertices.T
    as_y_up = Mesh(np.stack([x, height, -y], axis=1), z.faces)
    as_x_up = Mesh(np.stack([height, y, -x], axis=1), z.faces)
    for mesh, up in ((as_y_up, "y"), (as_x_up, "x")):
        np.testing.assert_allclose(upright(mesh, up).vertices, z.vertices)
        assert np.abs(sheet(normalize(upright(mesh, up))).astype(int) - golden("z")).mean() < 0.05


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for axis in get_args(Up):
        Image.fromarray(sheet(normalize(upright(letter_f(), axis)))).save(FOLDER / f"letter-f-up-{axis}.png")  # type: ignore[arg-type]
