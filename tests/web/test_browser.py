"""The page in a real browser: everything a user does, also without a mouse, in light and dark, in a narrow window."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageDraw

from tests.web.conftest import serving

playwright_api = pytest.importorskip("playwright.sync_api")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WORDS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PATIENCE = 90_000  # milliseconds: the first query loads the network, and other tests use the cores

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium found")

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with serving(site / "index", "--max-upload", "1") as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=WORDS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page whose requests stay on this machine, and that writes nothing to the console."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.expected = []
    yield page
    kept = [line for line in told if not any(re.search(each, line) for each in page.expected)]
    context.close()
    assert [line for line in kept if "GPU stall" not in line and "GL Driver Message" not in line] == []
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}


def wait_until(page: Any, condition: str) -> None:
    """Wait until an expression is true in the page. Playwright's own function needs eval, which the policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(100)


def upload(page: Any, *files: Path) -> None:
    page.set_input_files("#files", [str(file) for file in files])
    page.wait_for_selector("#results .card")


def cards(page: Any) -> list[str]:
    page.wait_for_selector("#results .card")
    page.wait_for_selector("#results:not([aria-busy])")
    names: list[str] = page.eval_on_selector_all("#results .card", "all => all.map((card) => card.dataset.id)")
    return names


def violations(page: Any) -> list[str]:
    """What axe finds serious or moderate. It is run outside of the page's content policy."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in ("moderate", "serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    "name", ["box/cube.off", "box/brick.stl", "box/plank.ply", "cylinder/rod.obj", "round/ball.glb"]
)
def test_a_mesh_of_each_format_is_found(name: str, page: Any, site: Path) -> None:
    upload(page, site / "meshes" / name)
    assert cards(page)[0] == name
    page.wait_for_selector("#stage canvas")
    assert page.locator("#views .view").count() == 12
    page.wait_for_selector("#scores li")
    page.wait_for_selector("#views-note:not(:empty)")
    turned_alike = name == "cylinder/rod.obj"  # all of its views are the same, so none speaks more than others
    assert (page.locator("#views .spoke").count() > 0) != turned_alike
    assert page.inner_text("#subject-name") == Path(name).name


def test_a_gltf_with_its_buffer_is_found(page: Any, site: Path, tmp_path: Path) -> None:
    import trimesh

    for name, content in trimesh.creation.icosphere(2).export(file_type="gltf").items():
        (tmp_path / name.replace("model", "ball")).write_bytes(content)
    upload(page, *sorted(tmp_path.iterdir()))
    assert cards(page)[0] == "round/ball.glb"


def test_from_a_result_the_search_goes_on_and_back(page: Any, site: Path) -> None:
    upload(page, site / "meshes" / "box" / "cube.off")
    second = cards(page)[1]
    page.click("#results li:nth-child(2) .card")
    wait_until(page, f"document.getElementById('subject-name').textContent === '{second}'")
    assert cards(page)[0] == second
    page.go_back()
    wait_until(page, "document.getElementById('subject-name').textContent === 'cube.off'")
    assert page.locator("#queries li").count() == 2
    assert page.locator("canvas").count() <= 5  # one live viewer, and the canvases of the map and the sketch


def test_results_are_filtered_and_saved(page: Any, site: Path) -> None:
    upload(page, site / "meshes" / "box" / "cube.off", site / "meshes" / "round" / "ball.glb")
    page.select_option("#filter", "round")
    wait_until(page, "document.querySelectorAll('#results .card').length === 3")
    assert all(name.startswith("round/") for name in cards(page))
    with page.expect_download() as download:
        page.click("#csv")
    assert Path(download.value.path()).read_text().splitlines()[0] == "query,rank,score,label,id,view"
    with page.expect_download() as download:
        page.click("#json")
    saved = json.loads(Path(download.value.path()).read_text())
    assert [each["query"] for each in saved] == ["cube.off", "ball.glb"]


def held(page: Any, pattern: str) -> list[Any]:
    """Requests that fit a pattern, from now on: each waits until the test lets it go on."""
    waiting: list[Any] = []
    page.route(re.compile(pattern), lambda route: waiting.append(route))  # Playwright takes no method of a list
    return waiting


def wait_for_any(page: Any, waiting: list[Any]) -> None:
    for _ in range(PATIENCE // 50):
        if waiting:
            return
        page.wait_for_timeout(50)
    raise TimeoutError


def test_a_late_answer_does_not_replace_a_newer_one(page: Any, site: Path) -> None:
    upload(page, site / "meshes" / "box" / "cube.off")
    late = held(page, r"/results\?.*label=box")
    page.select_option("#filter", "box")
    wait_for_any(page, late)
    page.select_option("#filter", "round")
    wait_until(page, "document.querySelectorAll('#results .card').length === 3")
    with page.expect_response(re.compile("label=box")):
        late[0].continue_()
    page.wait_for_timeout(300)
    assert all(name.startswith("round/") for name in cards(page))


def test_a_query_that_comes_late_does_not_replace_the_one_in_sight(page: Any) -> None:
    late = held(page, r"/api/queries/shape-0$")
    page.evaluate("location.hash = '#search/shape-0'")
    wait_for_any(page, late)
    page.evaluate("location.hash = '#search/shape-1'")
    page.wait_for_selector("#results .card")
    name = page.inner_text("#subject-name")
    with page.expect_response(re.compile(r"/api/queries/shape-0$")):
        late[0].continue_()
    page.wait_for_timeout(300)
    assert page.inner_text("#subject-name") == name


def test_a_model_that_comes_late_is_not_shown_and_there_is_one_viewer(page: Any) -> None:
    page.evaluate(
        "() => { window.contexts = 0; const usual = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "if (kind.startsWith('webgl')) window.contexts++; return usual.call(this, kind, ...rest); }; }"
    )
    late = held(page, r"/vendor/three\.js")
    page.evaluate("location.hash = '#search/shape-0'")
    wait_for_any(page, late)
    first = page.inner_text("#subject-name")
    with page.expect_response(re.compile(r"shape-1/model\.glb")):
        page.evaluate("location.hash = '#search/shape-1'")
    page.wait_for_timeout(300)
    late[0].continue_()
    page.wait_for_selector("#stage canvas")
    page.wait_for_timeout(500)
    assert page.inner_text("#subject-name") != first
    label = page.get_attribute("#stage canvas", "aria-label")
    assert label.startswith(page.inner_text("#subject-name"))
    assert page.evaluate("window.contexts") == 1


def test_the_links_name_the_queries_in_the_list(page: Any, site: Path) -> None:
    upload(page, site / "meshes" / "box" / "cube.off", site / "meshes" / "round" / "ball.glb")
    page.click("[aria-label='Remove cube.off']")
    with page.expect_download() as download:
        page.click("#csv")
    rows = Path(download.value.path()).read_text().splitlines()
    assert download.value.suggested_filename == "results.csv"
    assert {row.split(",")[0] for row in rows[1:]} == {"ball.glb"}


def test_what_a_busy_server_refuses_is_asked_for_again(page: Any, site: Path) -> None:
    page.expected = ["503"]
    refused: list[str] = []

    def once(route: Any) -> None:
        path = urlsplit(route.request.url).path
        if path in refused:
            route.continue_()
        else:
            refused.append(path)
            route.fulfill(
                status=503, headers={"retry-after": "1"}, json={"error": {"kind": "busy", "message": "Busy."}}
            )

    page.route(re.compile(r"/views\.png|/results\.csv"), once)
    upload(page, site / "meshes" / "box" / "cube.off")
    wait_until(page, "document.querySelector('#views .view').style.backgroundImage.startsWith('url(\"blob:')")
    with page.expect_download():
        page.click("#csv")
    assert len(refused) == 2


def test_files_that_cannot_be_joined_or_read_give_a_sentence(page: Any, tmp_path: Path) -> None:
    page.expected = ["422"]
    buffers = {"asset": {"version": "2.0"}, "buffers": [{"uri": "100%.bin", "byteLength": 9}]}
    (tmp_path / "percent.gltf").write_text(json.dumps(buffers))
    (tmp_path / "null.gltf").write_text("null")
    page.set_input_files("#files", [str(tmp_path / "percent.gltf"), str(tmp_path / "null.gltf")])
    page.wait_for_selector("#message.wrong:has-text('null.gltf: ')")
    assert "percent.gltf: " in page.inner_text("#message")
    page.evaluate("() => { Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('', 'NotFoundError')); }")
    page.set_input_files("#files", str(tmp_path / "null.gltf"))
    page.wait_for_selector("#message.wrong:has-text('the file cannot be read')")


def test_a_bad_file_gives_a_sentence(page: Any, tmp_path: Path) -> None:
    page.expected = ["422", "413"]
    (tmp_path / "broken.off").write_text("OFF nonsense")
    (tmp_path / "large.stl").write_bytes(bytes(2 << 20))
    page.set_input_files("#files", [str(tmp_path / "broken.off"), str(tmp_path / "large.stl")])
    page.wait_for_selector("#message.wrong:has-text('large.stl')")
    message = page.inner_text("#message")
    assert message.startswith("broken.off: ")
    assert "more than 1 MB" in message


def test_a_picture_is_searched_with(page: Any, tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(image).ellipse((60, 60, 240, 240), fill="grey")
    image.save(tmp_path / "ball.jpg")
    upload(page, tmp_path / "ball.jpg")
    page.wait_for_selector("#stage img")
    assert len(cards(page)) == 9
    assert "view" in page.inner_text("#results li:first-child .id")


def test_a_sketch_is_searched_with(page: Any) -> None:
    page.click("#draw")
    box = page.locator("#paper").bounding_box()
    corners = [(0.25, 0.3), (0.75, 0.3), (0.75, 0.7), (0.25, 0.7), (0.25, 0.3)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.click("#find")
    assert len(cards(page)) == 9
    assert page.inner_text("#subject-name") == "sketch 1.png"


def test_an_empty_sketch_gives_a_sentence(page: Any) -> None:
    page.expected = ["422"]
    page.click("#draw")
    page.click("#find")
    page.wait_for_selector("#message.wrong:has-text('blank')")


def test_the_collection_is_listed_and_picked_from_by_keyboard(page: Any) -> None:
    page.focus("nav a[data-part=collection]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#collection-grid .tile[data-row]")
    assert page.locator("#collection-grid .tile").count() == 9
    page.fill("#collection-text", "cyl")
    wait_until(page, "document.querySelectorAll('#collection-grid .tile').length === 3")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_until(page, "document.getElementById('subject-name').textContent === 'cylinder/rod.obj'")
    assert cards(page)[0] == "cylinder/rod.obj"
    page.focus("#results li:nth-child(3) .card")
    third = cards(page)[2]
    page.keyboard.press("Enter")
    wait_until(page, f"document.getElementById('subject-name').textContent === '{third}'")


def test_the_list_keeps_its_place_for_the_keyboard(page: Any) -> None:
    page.set_viewport_size({"width": 380, "height": 500})
    page.click("nav a[data-part=collection]")
    page.wait_for_selector("#collection-grid .tile[data-row]")
    page.evaluate("document.getElementById('collection-grid').scrollTop = 10000")
    wait_until(page, "!document.querySelector('#collection-grid [aria-posinset=\"1\"]')")
    assert page.locator("#collection-grid .tile[tabindex='0']").count() == 1
    page.focus("#collection-text")
    page.keyboard.press("Tab")
    seen = int(page.evaluate("document.activeElement.getAttribute('aria-posinset')"))
    page.keyboard.press("ArrowRight")
    assert int(page.evaluate("document.activeElement.getAttribute('aria-posinset')")) == seen + 1
    page.fill("#collection-text", "cyl disc")
    wait_until(page, "document.getElementById('collection-count').textContent === '1 shape'")


def test_a_tile_keeps_the_focus_when_its_shape_arrives(page: Any) -> None:
    open_map(page)
    late = held(page, r"/api/shapes\?row=")
    page.focus("#plane")
    page.keyboard.press("s")
    wait_for_any(page, late)
    page.focus("#selection-grid .tile[tabindex='0']")
    for each in late:
        each.continue_()
    page.wait_for_selector("#selection-grid .tile[data-row]")
    assert page.evaluate("document.activeElement.matches('.tile[data-row]')")


def test_keys_of_the_browser_stay_its_own(page: Any) -> None:
    open_map(page)
    page.click("nav a[data-part=collection]")
    page.wait_for_selector("#collection-grid .tile[data-row]")
    pressed = (
        "([where, key, keys]) => !document.querySelector(where)"
        ".dispatchEvent(new KeyboardEvent('keydown', {key, ...keys, bubbles: true, cancelable: true}))"
    )
    for where, key in (("#plane", "ArrowLeft"), ("#plane", "s"), ("#collection-grid .tile", "ArrowLeft")):
        assert page.evaluate(pressed, [where, key, {}])
        for modifier in ("altKey", "ctrlKey", "metaKey"):
            assert not page.evaluate(pressed, [where, key, {modifier: True}])


def open_map(page: Any) -> dict[str, float]:
    pytest.importorskip("openTSNE")
    page.click("nav a[data-part=map]")
    wait_until(page, "document.getElementById('map-note').textContent !== ''")
    if page.is_visible("#map-make") and not page.locator("#plane[data-ready]").count():
        page.click("#map-make")
    page.wait_for_selector("#plane[data-ready]")
    box: dict[str, float] = page.locator("#plane").bounding_box()
    return box


def test_the_map_is_drawn_and_a_lasso_becomes_a_list(page: Any) -> None:
    box = open_map(page)
    assert page.locator("#legend li").count() == 3
    page.click("#map-lasso")
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    for x, y in ((0.99, 0.01), (0.99, 0.99), (0.01, 0.99)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_selector("#selection-grid .tile[data-row]")
    assert page.inner_text("#selection-title") == "9 selected shapes"
    page.select_option("#map-colour", "family")
    page.click("#selection-grid .tile >> nth=0")
    page.wait_for_selector("#results .card")


def test_the_map_is_used_by_keyboard(page: Any) -> None:
    open_map(page)
    page.focus("#plane")
    for key in ("+", "ArrowLeft", "ArrowRight", "-", "s"):
        page.keyboard.press(key)
    page.wait_for_selector("#selection-grid .tile[data-row]")
    page.focus("#plane")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .card")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
def test_nothing_keeps_anyone_out_or_leaves_the_window(colours: str, width: int, page: Any, site: Path) -> None:
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size({"width": width, "height": 800})
    upload(page, site / "meshes" / "box" / "cube.off")
    page.wait_for_selector("#views .spoke")
    assert violations(page) == []
    for part in ("search", "collection", "map"):
        page.click(f"nav a[data-part={part}]")
        page.wait_for_selector(f"#{part}:not([hidden])")
        if part == "collection":
            page.wait_for_selector("#collection-grid .tile[data-row]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []
    page.click("nav a[data-part=search]")
    page.click("#draw")
    assert violations(page) == []


def test_the_server_gives_its_picture_as_an_image(page: Any, address: str) -> None:
    content = page.request.get(f"{address}api/shapes/0/picture.png").body()
    assert Image.open(io.BytesIO(content)).format == "PNG"
