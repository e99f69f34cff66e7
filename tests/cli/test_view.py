"""``shapecnn view``: pictures in files and in terminals, decoded again and compared with what render draws."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import shapecnn
from shapecnn.cli.terminal import way_of
from shapecnn.views import contact_sheet
from shapecnn.views.open3d_renderer import _open3d
from tests.cli.conftest import Command
from tests.solids import write_box

SMALL = ["--size", 32]
COLOURS = re.compile(r"\x1b\[38;2;(\d+);\d+;\d+;48;2;(\d+);\d+;\d+m(▀+)\x1b\[0m")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return write_box(tmp_path / "box.off")


def drawn(mesh: Path, **settings: int | str) -> NDArray[np.uint8]:
    return shapecnn.draw_views(mesh, shapecnn.ViewSettings.from_options(size=32, **settings)).pictures


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("name", ["sheet.png", "sheet.WEBP", "sheet.webp"])
def test_a_sheet_is_what_render_draws(name: str, box: Path, command: Command) -> None:
    out = box.parent / name
    answer = command("view", box, out, *SMALL, "--views", 6, "--up", "y", "--json").json("view")
    expected = contact_sheet(drawn(box, views=6, up="y"))
    assert np.array_equal(np.asarray(opened(out.read_bytes()).convert("L")), expected)
    assert answer == {
        "schema_version": 1, "path": str(box), "out": str(out), "kind": "sheet", "faces": 12, "vertices": 8,
        "notes": [], "views": 6, "width": 96, "height": 64,
    }  # fmt: skip


def test_jpeg_is_close(box: Path, command: Command) -> None:
    out = box.parent / "a.jpg"
    assert command("view", box, out, *SMALL).status == 0
    picture = np.asarray(opened(out.read_bytes()), np.float64)
    assert np.abs(picture - contact_sheet(drawn(box))).mean() < 3


@pytest.mark.parametrize(("name", "options"), [("turn.gif", []), ("turn.webp", ["--turn"])])
def test_a_turn_shows_the_views_of_a_circle_one_after_the_other(
    name: str, options: list[str], box: Path, command: Command
) -> None:
    done = command("view", box, out := box.parent / name, *options, *SMALL, "--views", 10, "--seconds", 2)
    assert (done.status, done.stdout) == (0, f"{out}: a turn of 10 frames, 32 × 32 pixels, of 12 faces\n")
    with Image.open(out) as picture:
        assert (picture.n_frames, picture.info["loop"]) == (10, 0)  # type: ignore[attr-defined]
        durations = []
        for number, expected in enumerate(drawn(box, views=10)):
            picture.seek(number)
            assert np.array_equal(np.asarray(picture.convert("L")), expected)
            durations.append(picture.info["duration"])
    assert durations == [200] * 10


def test_a_turn_of_a_mesh_of_unknown_pose_is_about_its_own_axes(box: Path, command: Command) -> None:
    """The box 1 × 2 × 3, lying on its side or not, is the same turn: its longest extent lies along x."""
    lying = write_box(box.parent / "lying.off", 3.0, 1.0, 2.0)
    options = ["--orientation", "auto", *SMALL, "--views", 12]
    for mesh in (box, lying):
        assert command("view", mesh, mesh.with_suffix(".gif"), *options).status == 0
    with Image.open(box.with_suffix(".gif")) as one, Image.open(lying.with_suffix(".gif")) as other:
        seen = [np.asarray(picture.convert("L")) < 250 for picture in (one, other)]
    assert (seen[0] != seen[1]).mean() < 0.02
    assert seen[0].mean() > 0.1


def test_files_of_others_are_kept(box: Path, command: Command) -> None:
    out = box.parent / "a.png"
    assert command("view", box, out, *SMALL).status == 0
    assert command("view", box, out, *SMALL, "--views", 4).status == 0  # its own, unchanged
    assert opened(out.read_bytes()).size == (64, 64)
    Image.new("L", (5, 5)).save(out)
    before = out.read_bytes()
    done = command("view", box, out, *SMALL)
    assert (done.status, out.read_bytes()) == (2, before)
    assert "shapecnn did not write the file" in done.stderr
    assert command("view", box, out, *SMALL, "--overwrite").status == 0
    assert opened(out.read_bytes()).size == (128, 96)


def test_a_mesh_in_a_zip_is_named_as_other_commands_print_it(box: Path, command: Command) -> None:
    with zipfile.ZipFile(box.parent / "all.zip", "w") as archive:
        archive.write(box, "chair/a.off")
    out = box.parent / "a.png"
    assert command("view", f"{box.parent}/all.zip/chair/a.off", out, *SMALL).status == 0
    assert np.array_equal(np.asarray(opened(out.read_bytes())), contact_sheet(drawn(box)))
    done = command("view", f"{box.parent}/all.zip/chair/b.off", out, *SMALL)
    assert (done.status, "b.off" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_kitty_gets_the_png_in_chunks(box: Path, command: Command) -> None:
    done = command("view", box, "--terminal", "kitty", "--size", 200, "--views", 6)
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", done.stdout)
    assert done.stdout.replace("\n", "") == "".join(f"\x1b_G{keys};{part}\x1b\\" for keys, part in parts)
    assert parts[0][0].startswith("a=T,f=100,q=2,c=")
    assert [keys[-3:] for keys, _ in parts] == ["m=1"] * (len(parts) - 1) + ["m=0"]
    assert len(parts) > 1
    assert all(len(part) <= 4096 for _, part in parts)
    picture = opened(base64.b64decode("".join(part for _, part in parts)))
    expected = shapecnn.draw_views(box, shapecnn.ViewSettings(size=200, views=6)).pictures
    assert np.array_equal(np.asarray(picture), contact_sheet(expected))


def test_iterm_gets_the_png_with_its_size(box: Path, command: Command) -> None:
    done = command("view", box, "--terminal", "iterm", *SMALL)
    found = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=\d+;preserveAspectRatio=1:([^\x07]*)\x07\n", done.stdout
    )
    assert found is not None
    content = base64.b64decode(found[2])
    assert len(content) == int(found[1])
    assert np.array_equal(np.asarray(opened(content)), contact_sheet(drawn(box)))


def from_sixels(text: str) -> NDArray[np.float64]:
    """A decoder of sixels for tests: greys from 0 to 100, NaN where nothing is painted."""
    found = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)((?:#\d+;2;\d+;\d+;\d+)*)(.*)\x1b\\\n', text, re.DOTALL)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    shares = {int(n): int(share) for n, share in re.findall(r"#(\d+);2;(\d+);\d+;\d+", found[3])}
    picture = np.full((-(-height // 6) * 6, width), np.nan)
    for number, band in enumerate(found[4].split("-")):
        for row in band.split("$"):
            colour, sixels = re.match(r"#(\d+)(.*)", row, re.DOTALL).groups()  # type: ignore[union-attr]
            bits = "".join(c * int(n or 1) for n, c in re.findall(r"(?:!(\d+))?([?-~])", sixels))
            assert len(bits) == width
            for x, character in enumerate(bits):
                for y in range(6):
                    if ord(character) - 63 >> y & 1:
                        assert np.isnan(picture[6 * number + y, x])  # no pixel is painted twice
                        picture[6 * number + y, x] = shares[int(colour)]
    assert np.isnan(picture[height:]).all()
    return picture[:height]


def test_sixels_are_the_picture(box: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    done = command("view", box, "--terminal", "sixel", "--size", 80, "--views", 2)
    picture = from_sixels(done.stdout)
    assert picture.shape == (80, 160)  # 20 characters of 8 pixels: as drawn
    expected = contact_sheet(shapecnn.draw_views(box, shapecnn.ViewSettings(size=80, views=2)).pictures)
    assert np.abs(picture / 100 - expected / 255).max() < 0.03


def test_half_blocks_are_two_pixels_each(box: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "64")
    monkeypatch.setenv("COLORTERM", "truecolor")
    done = command("view", box, "--terminal", "blocks", *SMALL)
    lines = done.stdout.splitlines()
    assert len(lines) == 16
    pixels = []
    for line in lines:
        runs = COLOURS.findall(line)
        assert "".join(f"{a}{b}{blocks}" for a, b, blocks in runs)
        assert COLOURS.sub("", line) == ""
        pixels.append([int(a) for a, _, blocks in runs for _ in blocks])
        pixels.append([int(b) for _, b, blocks in runs for _ in blocks])
    assert np.array_equal(np.array(pixels), contact_sheet(drawn(box, views=2)))
    assert "12 faces, 2 views" in done.stderr


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "blocks"),
        ({}, "blocks"),
    ],
)
def test_terminals_are_recognized(environment: dict[str, str], way: str) -> None:
    assert way_of(environment) == way


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "stdout is no terminal"),
        (["--json"], "--json needs OUT"),
        (["--turn"], "give OUT"),
        (["a.png", "--turn"], "cannot hold a turning shape"),
        (["a.tiff"], "has no known ending"),
        (["a.gif", "--views", "24"], "not in a circle"),
        (["a.png", "--window"], "leave out OUT"),
        (["a.png", "--terminal", "kitty"], "leave out OUT or --terminal"),
        (["a.webp", "--size", "4096", "--views", "80"], "Choose fewer --views"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    options: list[str], message: str, box: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(box.parent)
    if "4096" in options:  # drawn in a moment
        monkeypatch.setattr("shapecnn.cli.view._draw", lambda *_: np.zeros((8, 17000), np.uint8))
    done = command("view", box, *options)
    assert (done.status, message in done.stderr) == (2, True), done.stderr
    assert sorted(path.name for path in box.parent.iterdir()) == ["box.off"]


def test_a_broken_mesh_fails_in_one_sentence(tmp_path: Path, command: Command) -> None:
    (mesh := tmp_path / "a.off").write_bytes(b"OFF")
    for path in (mesh, tmp_path / "none.off"):
        done = command("view", path, tmp_path / "a.png")
        assert (done.status, len(done.stderr.splitlines())) == (1, 1)
        assert str(path) in done.stderr


def test_a_window_needs_a_display(box: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    done = command("view", box, "--window")
    assert (done.status, "Write a picture" in done.stderr) == (2, True)


def test_a_window_shows_the_mesh(box: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    o3d = _open3d()
    shown: list[object] = []

    class Window:
        def create_window(self, *_: object) -> bool:
            return True

        def add_geometry(self, mesh: object) -> None:
            shown.append(mesh)

        def get_render_option(self) -> object:
            return type("Options", (), {})()

        def get_view_control(self) -> object:
            return type("Control", (), {"set_up": lambda *_: None, "set_front": lambda *_: None})()

        def run(self) -> None:
            shown.append("run")

        def destroy_window(self) -> None:
            shown.append("closed")

    monkeypatch.setattr(o3d.visualization, "Visualizer", Window)
    monkeypatch.setenv("DISPLAY", ":99")
    answer = command("view", box, "--window", "--json").json("view")
    assert (answer["kind"], answer["out"], answer["views"]) == ("window", None, None)
    mesh, *steps = shown
    assert np.asarray(mesh.vertices).shape == (8, 3)  # type: ignore[attr-defined]
    assert np.linalg.norm(np.asarray(mesh.vertices), axis=1) == pytest.approx(1)  # type: ignore[attr-defined]
    assert steps == ["run", "closed"]
