"""Small mesh files to make collections of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import trimesh


def write_box(path: Path, *extents: float) -> Path:
    """A box without symmetry in a file of the format its extension names (by default 1 × 2 × 3)."""
    return write(path, trimesh.creation.box(extents or (1.0, 2.0, 3.0)))


def write_ball(path: Path, subdivisions: int = 1) -> Path:
    return write(path, trimesh.creation.icosphere(subdivisions))


def write_solids(folder: Path) -> Path:
    """Boxes, cylinders and round shapes, three of each in formats of their own: a collection of nine unlike meshes."""
    solids = {
        "box/cube.off": trimesh.creation.box((1.0, 1.0, 1.0)),
        "box/brick.stl": trimesh.creation.box((1.0, 2.0, 3.0)),
        "box/plank.ply": trimesh.creation.box((3.0, 1.0, 0.2)),
        "cylinder/disc.off": trimesh.creation.cylinder(1.0, 0.3, sections=24),
        "cylinder/rod.obj": trimesh.creation.cylinder(0.2, 2.0, sections=24),
        "cylinder/tube.off": trimesh.creation.annulus(0.5, 1.0, 1.0, sections=24),
        "round/ball.glb": trimesh.creation.icosphere(2),
        "round/capsule.off": trimesh.creation.capsule(2.0, 0.5, count=[12, 12]),
        "round/cone.off": trimesh.creation.cone(1.0, 2.0, sections=24),
    }
    for name, mesh in solids.items():
        write(folder / name, mesh)
    return folder


def write_two_classes(folder: Path) -> Path:
    """Three boxes and a copy to train on, a ball to test, and a mesh that cannot be read."""
    for number in range(3):
        write_box(folder / "box" / "train" / f"{number}.off", 1, 1, 1 + number)
    shutil.copyfile(folder / "box" / "train" / "0.off", folder / "box" / "train" / "copy.off")
    write_ball(folder / "ball" / "test" / "1.obj")
    (folder / "ball" / "test" / "bad.off").write_bytes(b"OFF 3 1 0")
    return folder


def write(path: Path, mesh: trimesh.Trimesh) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = mesh.export(file_type=path.suffix[1:])
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` but locks, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write_boxes(folder: Path, classes: int) -> Path:
    """A class is the height of its boxes, on which something small stands; five of each to train on, one to test."""
    random = np.random.default_rng(0)
    for number in range(classes):
        for shape in range(6):
            split = "test" if shape == 5 else "train"
            path = folder / f"class{number:02}" / split / f"box{shape}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            height = 0.1 + number / 20
            box = trimesh.creation.box((1, 1, height))
            small = trimesh.creation.box(random.uniform(0.1, 0.5, 3))
            small.apply_translation([*random.uniform(-0.5, 0.5, 2), height / 2])
            path.write_text(trimesh.util.concatenate([box, small]).export(file_type="off"))
    return folder
