"""``shapecnn view``: look at one mesh, in a picture file, in a window or in the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.free_paths import free_file
from shapecnn.cli.next_steps import suggest
from shapecnn.cli.options import (
    LocalPath,
    faces_options,
    json_option,
    orientation_option,
    overwrite_option,
    quiet_option,
    up_option,
)
from shapecnn.errors import UsageError, counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shapecnn.cli.terminal import Way
    from shapecnn.meshes.mesh import Mesh
    from shapecnn.settings.views_and_grids import FaceLimit, Orientation, Up, ViewSettings

TURN = 36  # frames of a turn, unless --views says otherwise


@click.command("view")
@click.argument("mesh", type=LocalPath())
@click.argument("out", type=LocalPath(path_type=Path, dir_okay=False), required=False)
@click.option("--turn", is_flag=True, help="Write a turning shape. A .gif file is always one.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=4.0, show_default=True,
              help="Duration of a turn.")  # fmt: skip
@click.option("--window", is_flag=True, help="Open a window in which the mouse turns the shape (needs a display).")
@click.option("--terminal", type=click.Choice(["auto", "kitty", "iterm", "sixel", "blocks"]), default="auto",
              show_default=True, help="How the terminal draws pictures: by the protocol of kitty, of iTerm2 or sixel, "
              "or as half blocks in any terminal.")  # fmt: skip
@click.option("--views", type=click.IntRange(1, 360),
              help="Number of views, or of the frames of a turn.  [default: 12; 24 with --orientation auto; 36 for a "
              "turn; 2 as half blocks]")  # fmt: skip
@click.option("--size", type=int, help="Width and height of a view in pixels.  [default: 224; 400 for a turn]")
@click.option("--fit", type=click.Choice(["sphere", "view"]), default="sphere", show_default=True,
              help="Scale of the shape: the same in all views (sphere), or chosen for each view (view).")  # fmt: skip
@click.option("--renderer", type=click.Choice(["raster", "pyrender", "open3d"]), default="raster", show_default=True,
              help="Renderer, as in `shapecnn render`.")  # fmt: skip
@orientation_option
@faces_options
@up_option
@overwrite_option
@quiet_option
@json_option
def command(
    mesh: str,
    out: Path | None,
    turn: bool,
    seconds: float,
    window: bool,
    terminal: str,
    views: int | None,
    size: int | None,
    fit: str,
    renderer: str,
    orientation: Orientation,
    limit: FaceLimit,
    up: Up,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show MESH in the terminal, in the file OUT or in a window, drawn as `shapecnn render` draws it.

    The ending of OUT decides: .png, .webp and .jpg hold all views on one sheet; .gif, and .webp with --turn, a turning
    shape. Without OUT, the terminal draws the sheet, as a picture if it can, otherwise as half blocks. MESH may be a
    mesh inside a zip, as other commands print it: shapes.zip/chair/a.off.

    \b
    Examples:
      shapecnn view chair.obj --up y
      shapecnn view chair.obj chair.png --views 20
      shapecnn view chair.obj chair.gif
      shapecnn view shapes.zip/chair/a.off a.webp --turn
      shapecnn view chair.obj --window
    """
    _require_way(out, turn, window, as_json, terminal, renderer)
    turns = turn or (out is not None and out.suffix.lower() == ".gif")
    if out is not None:
        from shapecnn.storage.files import require_file

        require_file(out, overwrite)
    way = _terminal_way(terminal) if out is None and not window else None
    if turns:
        views = _frames(views)
    elif way == "blocks" and views is None and orientation == "upright":
        views = 2  # more would be a few characters each
    settings = _settings(turns, views, size, fit=fit, renderer=renderer, orientation=orientation, up=up)
    loaded = _load(mesh, up, limit)
    for sentence in loaded.notes:
        note(f"Note: {mesh}: {sentence}.")
    answer: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "path": mesh,
        "out": None if out is None else str(out),
        "kind": "window" if window else "turn" if turns else "sheet",
        "faces": len(loaded.faces),
        "vertices": len(loaded.vertices),
        "notes": [*loaded.notes],
    }
    if window:
        _show(loaded, orientation, mesh)
        emit({**answer, "views": None, "width": None, "height": None}, as_json)
        return
    picture = _draw(loaded, settings, orientation, turns)
    if way is not None:
        from shapecnn.cli.terminal import columns, picture_lines

        for line in picture_lines(picture, way, columns()):
            click.echo(line, color=True)
        note(f"{mesh}: {counted(len(loaded.faces), 'face')}, {counted(settings.views, 'view')}")
        if (orientation, fit, renderer, limit.most) == ("upright", "sphere", "raster", None):  # a turn looks the same
            suggest("view", mesh, free_file(f"{Path(mesh).stem}.gif"), *(() if up == "z" else ("--up", up)))
        return
    assert out is not None
    _write(out, picture, turns, seconds, overwrite)
    height, width = picture.shape[-2:]
    what = f"a turn of {settings.views} frames" if turns else counted(settings.views, "view")
    text = f"{out}: {what}, {width} × {height} pixels, of {counted(len(loaded.faces), 'face')}"
    emit({**answer, "views": settings.views, "width": width, "height": height}, as_json, [text])


def _require_way(out: Path | None, turn: bool, window: bool, as_json: bool, terminal: str, renderer: str) -> None:
    """Raise a usage error for options that contradict each other or the ending of OUT."""
    from shapecnn.views.encoding import SHEETS, TURNS

    if window and (out is not None or turn):
        raise click.UsageError("--window shows the shape itself: leave out OUT and --turn.")
    if window and renderer != "raster":
        raise click.UsageError("--window always draws with Open3D: leave out --renderer.")
    if window and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        raise UsageError(
            "--window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set. Write a picture: give OUT.png."
        )
    if out is None:
        if turn:
            raise click.UsageError("A terminal draws no turning shape: give OUT, such as turn.gif.")
        if as_json and not window:
            raise click.UsageError("--json needs OUT or --window, because stdout cannot hold both pictures and JSON.")
        return
    if terminal != "auto":
        raise click.UsageError("--terminal is for pictures in the terminal: leave out OUT or --terminal.")
    suffix = out.suffix.lower()
    if turn and suffix not in TURNS:
        raise UsageError(f"{out} cannot hold a turning shape: give a name that ends in {_either(TURNS)}.")
    if suffix not in {**SHEETS, **TURNS}:
        raise UsageError(f"{out} has no known ending: give a name that ends in {_either({**SHEETS, **TURNS})}.")


def _either(suffixes: dict[str, str]) -> str:
    *others, last = suffixes
    return f"{', '.join(others)} or {last}"


def _terminal_way(terminal: str) -> Way:
    from shapecnn.cli.terminal import way_of

    if terminal == "auto":
        if not sys.stdout.isatty():
            raise UsageError("stdout is no terminal, so no picture can be drawn there. Give OUT, such as views.png.")
        return way_of(os.environ)
    chosen: Way = terminal  # type: ignore[assignment]  # click has checked it
    return chosen


def _frames(views: int | None) -> int:
    """Return the number of frames of a turn; the cameras of 20, 24 and 80 views do not stand in a circle."""
    from shapecnn.settings.views_and_grids import ALL_SIDES

    if views in ALL_SIDES:
        raise UsageError(
            f"The cameras of {views} views stand on all sides, not in a circle. Give another number for a turn: "
            f"--views 36."
        )
    return views or TURN


def _settings(turns: bool, views: int | None, size: int | None, **options: Any) -> ViewSettings:
    from shapecnn.settings.views_and_grids import ViewSettings

    if turns:
        options["orientation"] = "upright"  # the mesh is turned to its own axes before; auto has no circle of cameras
    numbers = {"views": views, "size": size or (400 if turns else None)}
    return ViewSettings.from_options(**{key: value for key, value in numbers.items() if value is not None}, **options)


def _load(mesh: str, up: Up, limit: FaceLimit) -> Mesh:
    """Read a mesh file, or a mesh inside a zip."""
    from shapecnn.errors import MeshError
    from shapecnn.meshes.collection import locate
    from shapecnn.meshes.mesh import read_mesh, ready

    shape = locate(mesh)
    try:
        return ready(read_mesh(shape.source(), shape.id, shape.sibling), up, limit)
    except MeshError as error:
        raise MeshError(error.kind, f"{mesh}: {error}.") from None


def _draw(mesh: Mesh, settings: ViewSettings, orientation: Orientation, turns: bool) -> NDArray[np.uint8]:
    """Return the contact sheet, (H, W), or the frames of a turn, (V, H, W)."""
    from shapecnn.meshes.orientation import posed
    from shapecnn.views import contact_sheet, render_views

    if turns:
        return render_views(posed(mesh, orientation), settings)
    return contact_sheet(render_views(mesh, settings))


def _show(mesh: Mesh, orientation: Orientation, title: str) -> None:
    from shapecnn.meshes.orientation import posed
    from shapecnn.views.open3d_renderer import show_window

    turned = posed(mesh, orientation)
    show_window(turned.vertices, turned.faces, title)


def _write(out: Path, picture: NDArray[np.uint8], turns: bool, seconds: float, overwrite: bool) -> None:
    from shapecnn.storage.files import write_signed
    from shapecnn.views.encoding import LONGEST, encode_sheet, encode_turn

    suffix = out.suffix.lower()
    height, width = picture.shape[-2:]
    if max(height, width) > LONGEST.get(suffix, width + height):
        raise UsageError(
            f"{out} cannot hold {width} × {height} pixels: {suffix} ends at {LONGEST[suffix]:,}. Choose fewer --views, "
            f"a smaller --size, or .png."
        )
    write_signed(out, encode_turn(picture, suffix, seconds) if turns else encode_sheet(picture, suffix), overwrite)
