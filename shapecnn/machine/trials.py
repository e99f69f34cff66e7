"""Try one part of the machine in a process of its own: a crash, a hang or junk on stdout does no harm.

The process runs this module with the name of the trial; its last line on stdout is the result as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_MARK = "shapecnn trial: "


class Outcome(NamedTuple):
    """Result of a trial.

    Attributes:
        ok: Whether the part works.
        detail: What was seen, or the error, in one line.
    """

    ok: bool
    detail: str


def attempt(name: str, seconds: float, environment: dict[str, str] | None = None) -> Outcome:
    """Run a trial in a process of its own.

    Args:
        name: Name of the trial, a key of :data:`TRIALS`.
        seconds: Time limit, after which the process is killed.
        environment: Environment variables of the process, in addition to those of this process.

    Returns:
        The result. If the process crashed or took too long, the detail says so.
    """
    package = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", "shapecnn.machine.trials", name]
    variables = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(False, f"no answer within {seconds:.0f} s")
    except OSError as error:
        return Outcome(False, f"no process could be started ({error.strerror or error})")
    text = done.stdout.decode("utf-8", "replace")
    for line in reversed(text.splitlines()):
        if line.startswith(_MARK):
            return Outcome(*json.loads(line.removeprefix(_MARK)))
    if done.returncode < 0:
        return Outcome(False, f"the process crashed ({signal.Signals(-done.returncode).name})")
    last = (done.stderr.decode("utf-8", "replace").splitlines() or ["no message"])[-1]
    return Outcome(False, f"the process ended with status {done.returncode} ({last[:160]})")


def _renderer(name: str) -> Callable[[], str]:
    """Return a trial that draws a small solid, and compares the picture with that of the rasterizer."""

    def draw() -> str:
        import numpy as np

        from shapecnn.meshes.mesh import Mesh
        from shapecnn.settings.views_and_grids import ViewSettings
        from shapecnn.views import render_views

        corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
        faces = [[x, y, z] for x in (0, 1) for y in (2, 3) for z in (4, 5)]
        octahedron = Mesh(corners, np.array(faces, np.int32))
        options = {"views": 3, "size": 48}
        pictures = render_views(octahedron, ViewSettings.from_options(renderer=name, **options)).astype(np.float64)
        inside, corner = pictures[:, 24, 24], pictures[:, 0, 0]
        if (inside >= 250).any() or (corner != 255).any():
            raise ValueError("it draws nothing where the shape is")
        if name != "raster":
            expected = render_views(octahedron, ViewSettings.from_options(**options))
            difference = float(np.abs(pictures - expected).mean())
            if difference > 3:
                raise ValueError(f"it draws another picture than the rasterizer, by {difference:.0f} grey levels")
        return _library(name)

    return draw


def _library(name: str) -> str:
    """Return the version of the library of a renderer, and what runs OpenGL."""
    from importlib import metadata

    if name == "raster":
        return f"shapecnn, numba {metadata.version('numba')}"
    text = f"{name} {metadata.version(name)}"
    if name == "pyrender":
        from OpenGL.GL import GL_RENDERER, glGetString

        driver = glGetString(GL_RENDERER) or b"an unknown driver"
        text += f", {os.environ.get('PYOPENGL_PLATFORM')}: {driver.decode('utf-8', 'replace')}"
    return text


def _openvino() -> str:
    from shapecnn.machine.tiny import run_openvino

    return run_openvino()


def _torch(device: str) -> Callable[[], str]:
    def run() -> str:
        from shapecnn.machine.tiny import run_torch

        return run_torch(device)

    return run


def _weights() -> str:
    """Return the named backbones whose weights are already on this machine."""
    from shapecnn.networks.choices import CHOICES
    from shapecnn.networks.servers import server_of_weights

    return ", ".join(name for name in CHOICES if server_of_weights(name) is None)


def _tables() -> str:
    """Write and read a table in the way in which manifests are written and read."""
    from importlib import metadata

    from shapecnn.artefacts.manifest import Entry
    from shapecnn.storage.tables import read_table, table_bytes

    rows = [Entry("a.off", "mug", "train", "0" * 64, "ok", None)]
    if read_table(Entry, table_bytes(Entry, rows)) != rows:
        raise ValueError("a table was read with other rows than it was written with")
    return f"pyarrow {metadata.version('pyarrow')}"


TRIALS: dict[str, Callable[[], str]] = {
    "raster": _renderer("raster"),
    "pyrender": _renderer("pyrender"),
    "open3d": _renderer("open3d"),
    "openvino": _openvino,
    "torch-cpu": _torch("cpu"),
    "torch-cuda": _torch("cuda"),
    "torch-mps": _torch("mps"),
    "weights": _weights,
    "tables": _tables,
}
"""Functions that try one part each, and return what was seen; an exception means that the part does not work."""


def main(name: str) -> None:
    """Run a trial in this process, and print its result as the last line on stdout.

    Args:
        name: A key of :data:`TRIALS`.
    """
    import warnings

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to stderr
    try:
        outcome = Outcome(True, TRIALS[name]())
    except BaseException as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        outcome = Outcome(False, text[:300])
    answers.write(f"\n{_MARK}{json.dumps(outcome)}\n")
    answers.flush()
    os._exit(0)  # threads of native libraries may abort a normal exit


if __name__ == "__main__":
    main(sys.argv[1])
