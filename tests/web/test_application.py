"""The JSON API: the answers of the commands, and a sentence for whatever cannot be answered."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trimesh
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from shapecnn.errors import ProcessError, StoredDataError
from shapecnn.web.application import Application
from shapecnn.web.desk import Desk
from shapecnn.web.guard import Guard
from shapecnn.web.maps import MapDesk
from shapecnn.web.queries import short_name
from shapecnn.web.thumbnails import Thumbnails
from tests.cli.conftest import Command
from tests.web.conftest import HERE

Upload = Callable[..., str]


def sketch() -> bytes:
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).rectangle((40, 60, 160, 140), outline="black", width=6)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def without_places(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(hit["id"], hit["label"], hit["score"], hit.get("view")) for hit in answer["results"]]


@pytest.mark.parametrize(
    "name", ["box/cube.off", "box/brick.stl", "box/plank.ply", "cylinder/rod.obj", "round/ball.glb"]
)
def test_answers_are_those_of_the_commands(
    name: str,
    client: TestClient,
    upload: Upload,
    site: Path,
    command: Command,
) -> None:
    query, file = upload(name), str(site / "meshes" / name)
    (printed,) = command("query", site / "index", file, "-k", "5", "--json", "--workers", "1").json("query")
    found = client.get(f"/api/queries/{query}/results", params={"k": 5}).json()
    assert without_places(found) == without_places(printed)
    assert [hit["path"] for hit in found["results"]] == [hit["id"] for hit in found["results"]]
    (printed,) = command("predict", site / "run", file, "--json", "--workers", "1").json("predict")
    assert client.get(f"/api/queries/{query}/prediction").json() == {**printed, "path": Path(file).name}
    (printed,) = command("explain", site / "run", file, "--json", "--workers", "1").json("explain")
    assert client.get(f"/api/queries/{query}/explanation").json() == {**printed, "path": Path(file).name}


def test_searches_that_need_no_network_do_not_wait_for_uploads_that_do(
    desk: Desk, thumbnails: Thumbnails, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(desk, "warm", lambda: go.wait(60))
    application = Application(desk, thumbnails, MapDesk(desk, thumbnails))
    cube = (site / "meshes" / "box/cube.off").read_bytes()
    with TestClient(Guard(application.starlette(), "127.0.0.1", None), HERE) as client, ThreadPoolExecutor(3) as pool:
        uploads = [pool.submit(client.post, "/api/queries?name=cube.off", content=cube) for _ in range(3)]
        time.sleep(1)  # they have arrived
        found = client.get("/api/queries/shape-0/results")
        waited = [not upload.done() for upload in uploads]
        go.set()
        assert [upload.result().status_code for upload in uploads] == [201] * 3
    assert found.status_code == 200
    assert all(waited)


def test_a_search_does_not_wait_for_meshes_that_take_long(
    desk: Desk, thumbnails: Thumbnails, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(desk, "model", lambda _query: b"" if go.wait(60) else None)
    application = Application(desk, thumbnails, MapDesk(desk, thumbnails))
    with TestClient(Guard(application.starlette(), "127.0.0.1", None), HERE) as client, ThreadPoolExecutor(5) as pool:
        hard = [pool.submit(client.get, f"/api/queries/shape-{row}/model.glb") for row in range(3)]
        time.sleep(0.5)
        searches = [pool.submit(client.get, f"/api/{path}") for path in (
            "queries/shape-0/results", "results.json?query=shape-1")]  # fmt: skip
        try:
            assert [search.result(30).status_code for search in searches] == [200] * 2
            assert not any(each.done() for each in hard)
        finally:
            go.set()


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ProcessError("the limit of processes"), 503, "No worker process can be started: see the messages"),
        (StoredDataError("/secret is damaged"), 500, "The model or the index cannot be used"),
    ],
)
def test_a_failure_is_told_where_the_server_was_started(
    error: Exception, status: int, told: str, desk: Desk, client: TestClient,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(desk, "model", fail)
    with caplog.at_level(logging.ERROR, "uvicorn.error"):
        answer = client.get("/api/queries/shape-0/model.glb")
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(told)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == [str(error)]


async def ask(app: Any, method: str, address: str, body: Callable[[], Any]) -> int:
    """Send a request to an application without a server, so that its body comes when the test wants."""
    path, _, asked = address.partition("?")
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await body(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": method, "path": path, "query_string": asked.encode(), "headers": []}
    await app(scope, receive, send)
    status: int = statuses[0]
    return status


def test_uploads_that_arrive_slowly_hold_up_no_search(desk: Desk, thumbnails: Thumbnails, site: Path) -> None:
    cube = (site / "meshes" / "box/cube.off").read_bytes()
    app = Application(desk, thumbnails, MapDesk(desk, thumbnails)).starlette()

    async def check() -> list[int]:
        arrived = asyncio.Event()

        async def slow() -> bytes:
            await arrived.wait()
            return cube

        async def nothing() -> bytes:
            return b""

        uploads = [asyncio.create_task(ask(app, "POST", "/api/queries?name=cube.off", slow)) for _ in range(3)]
        await asyncio.sleep(0.1)
        found = await asyncio.wait_for(ask(app, "GET", "/api/queries/shape-0/results", nothing), 30)
        assert not any(each.done() for each in uploads)
        arrived.set()
        return [found, *await asyncio.gather(*uploads)]

    assert asyncio.run(check()) == [200, 201, 201, 201]


def test_results_of_one_query_do_not_wait_for_each_other(
    desk: Desk, thumbnails: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Application(desk, thumbnails, MapDesk(desk, thumbnails)).starlette()
    go, calls = threading.Event(), []

    def slow(task: object) -> bytes:
        calls.append(task)
        assert go.wait(30)
        return b"glTF"

    monkeypatch.setattr(desk, "_work", lambda _, task: slow(task))
    desk.forget("shape-3")

    async def check() -> list[int]:
        async def nothing() -> bytes:
            return b""

        models = [asyncio.create_task(ask(app, "GET", "/api/queries/shape-3/model.glb", nothing)) for _ in range(3)]
        await asyncio.sleep(0.5)
        found = await asyncio.wait_for(ask(app, "GET", "/api/queries/shape-3/prediction", nothing), 60)
        go.set()
        return [found, *await asyncio.gather(*models)]

    assert asyncio.run(check()) == [200] * 4
    assert len(calls) == 1
    desk.forget("shape-3")


def test_a_picture_is_answered_as_by_the_command(
    client: TestClient,
    site: Path,
    tmp_path: Path,
    command: Command,
) -> None:
    file = tmp_path / "sketch.png"
    file.write_bytes(sketch())
    (printed,) = command("query", site / "index", "--image", file, "--json", "--workers", "1").json("query")
    made = client.post("/api/queries", params={"name": "sketch.png", "kind": "picture"}, content=sketch()).json()
    found = client.get(f"/api/queries/{made['query']}/results").json()
    assert without_places(found) == without_places(printed)
    assert client.get(f"/api/queries/{made['query']}/views/0.png").headers["content-type"] == "image/png"
    assert client.get(f"/api/queries/{made['query']}/model.glb").status_code == 404


def test_a_shape_of_the_collection_is_searched_on_from(client: TestClient, upload: Upload) -> None:
    listed = client.get("/api/shapes").json()["shapes"]
    row = next(shape["row"] for shape in listed if shape["id"] == "box/cube.off")
    by_row = client.get(f"/api/queries/shape-{row}/results").json()
    assert without_places(by_row) == without_places(client.get(f"/api/queries/{upload()}/results").json())
    assert by_row["results"][0]["row"] == row
    assert client.get(f"/api/queries/shape-{row}").json()["label"] == "box"


def test_the_filter_searches_one_class(client: TestClient, upload: Upload) -> None:
    found = client.get(f"/api/queries/{upload()}/results", params={"label": "round"}).json()["results"]
    assert [hit["label"] for hit in found] == ["round"] * 3
    assert client.get(f"/api/queries/{upload()}/results", params={"label": "none"}).json()["results"] == []


def test_several_queries_become_one_file(client: TestClient, upload: Upload) -> None:
    queries = [upload(), upload("round/ball.glb")]
    answer = client.get("/api/results.csv", params={"query": queries, "k": 3})
    assert answer.headers["content-disposition"] == 'attachment; filename="results.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["query"], row["rank"]) for row in rows] == [(n, r) for n in ("cube.off", "ball.glb") for r in "123"]
    table = client.get("/api/results.json", params={"query": queries, "k": 3}).json()
    assert [each["query"] for each in table] == ["cube.off", "ball.glb"]


def test_results_of_queries_that_are_not_kept_any_more_are_left_out(client: TestClient, upload: Upload) -> None:
    gone, kept = upload(), upload("round/ball.glb")
    client.delete(f"/api/queries/{gone}")
    (table,) = client.get("/api/results.json", params={"query": [gone, kept], "k": 1}).json()
    assert table["query"] == "ball.glb"
    assert client.get("/api/results.csv", params={"query": gone}).status_code == 404


def test_a_browser_keeps_pictures_of_this_server_only(client: TestClient, upload: Upload) -> None:
    """Another server at the same place gives the same row to another shape."""
    query, stamp = upload(), client.get("/api/about").json()["stamp"]
    for address in (
        "/api/shapes/0/picture.png",
        f"/api/queries/{query}/views.png",
        f"/api/queries/{query}/views/0.png",
    ):
        assert client.get(address, params={"of": stamp}).headers["cache-control"] == "private, max-age=3600"
        for asked in ({}, {"of": "other"}):
            assert client.get(address, params=asked).headers["cache-control"] == "no-cache"


def test_browsers_that_ask_for_the_usual_icon_get_it(client: TestClient) -> None:
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


def test_shapes_are_listed_and_filtered(client: TestClient) -> None:
    assert client.get("/api/shapes").json()["total"] == 9
    assert client.get("/api/shapes", params={"label": "box"}).json()["total"] == 3
    (disc,) = client.get("/api/shapes", params={"text": "CYL disc"}).json()["shapes"]
    assert disc["id"] == "cylinder/disc.off"
    assert [each["row"] for each in client.get("/api/shapes", params={"row": ["4", "2"]}).json()["shapes"]] == [4, 2]
    assert len(client.get("/api/shapes", params={"offset": 7, "limit": 5}).json()["shapes"]) == 2


def test_pictures_and_models_are_served(client: TestClient, upload: Upload) -> None:
    query = upload()
    model = client.get(f"/api/queries/{query}/model.glb")
    assert model.headers["content-type"] == "model/gltf-binary"
    assert len(trimesh.load(io.BytesIO(model.content), file_type="glb", force="mesh").faces) == 12
    views = client.get("/api/about").json()["views"]
    for address in (
        f"/api/queries/{query}/views/{views - 1}.png",
        f"/api/queries/{query}/views.png",
        "/api/shapes/0/picture.png",
    ):
        assert Image.open(io.BytesIO(client.get(address).content)).format == "PNG"
    assert client.get(f"/api/queries/{query}/views/{views}.png").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.off", b"OFF nonsense", "format"),
        ("a.off", b"   ", "empty"),
        ("a.xyz", b"1 2 3", "format"),
        ("", b"1 2 3", "format"),
        ("a.obj", b"v 0 0 0\n", "no-faces"),
        ("a.gltf", b'{"asset":{"version":"2.0"},"buffers":[{"uri":"/etc/passwd","byteLength":9}]}', None),
    ],
)
def test_a_bad_upload_gives_a_sentence(name: str, content: bytes, kind: str | None, client: TestClient) -> None:
    answer = client.post("/api/queries", params={"name": name}, content=content)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert kind is None or error["kind"] == kind
    assert error["message"]
    assert "root:" not in answer.text
    assert "/work" not in answer.text


def test_a_file_that_lacks_another_says_to_drop_both(client: TestClient) -> None:
    content = b"""{"asset": {"version": "2.0"}, "buffers": [{"uri": "a.bin", "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}], "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}], "scene": 0}"""
    error = client.post("/api/queries", params={"name": "a.gltf"}, content=content).json()["error"]
    assert error["kind"] == "reference"
    assert "a.bin" in error["message"]
    assert "drop it together with its buffers" in error["message"]


def test_wrong_requests_give_a_sentence(client: TestClient, upload: Upload) -> None:
    query = upload()
    wrong = {
        f"/api/queries/{query}/results?k=0": 400, f"/api/queries/{query}/results?k=x": 400,
        f"/api/queries/{query}/results?k=100000000000000000000": 400, "/api/queries/none/results": 404,
        "/api/queries/shape-9": 404, "/api/queries/shape-99999999999": 404, "/api/queries/shape-": 404,
        "/api/queries/shape-00": 404, "/api/queries/0": 404,
        "/api/shapes/9/picture.png": 404, "/api/shapes?row=9": 400, "/api/shapes?row=x": 400,
        "/api/shapes?row=0000000000009999999": 400, "/api/none": 404,
        "/api/results.csv": 400, "/static/../server.py": 404, "/static/%2e%2e/server.py": 404, "/etc/passwd": 404,
        "/api/map/points": 409, "/api/shapes?limit=5000": 400, f"/api/shapes/{5000 * '9'}/picture.png": 404,
        f"/api/queries/shape-0/views/{4400 * '9'}.png": 404, f"/api/map/sheets/{4400 * '9'}.png": 404,
    }  # fmt: skip
    for address, status in wrong.items():
        answer = client.get(address)
        assert (address, answer.status_code) == (address, status)
        assert answer.json()["error"]["message"].endswith(".")
    assert client.post("/api/queries", params={"name": "a.off", "up": "w"}, content=b"x").status_code == 400
    assert client.post("/api/queries", params={"name": "a.off", "kind": "w"}, content=b"x").status_code == 400
    assert client.post("/api/queries", params={"name": "a.off"}, content=bytes(2 << 20)).status_code == 413
    for method, address, allowed in (
        ("PUT", "/api/about", "GET, HEAD"), ("TRACE", "/api/about", "GET, HEAD"), ("PUT", "/api/queries", "POST"),
        ("POST", "/api/queries/shape-0", "DELETE, GET, HEAD"), ("POST", "/static/app.js", "GET, HEAD"),
    ):  # fmt: skip
        answer = client.request(method, address)
        assert (address, answer.status_code, answer.headers["allow"]) == (address, 405, allowed)
        assert answer.json()["error"]["message"].endswith(".")


def test_no_folder_of_this_machine_is_told(client: TestClient, upload: Upload, site: Path) -> None:
    query = upload()
    for address in (
        "/api/about",
        "/api/shapes",
        f"/api/queries/{query}/results",
        f"/api/queries/{query}/prediction",
        f"/api/queries/{query}/explanation",
        "/api/openapi.json",
        "/api/results.csv?query=" + query,
    ):
        text = client.get(address).text
        assert str(site) not in text, address


def test_an_upload_is_forgotten_when_asked(client: TestClient, upload: Upload) -> None:
    query = upload()
    assert client.delete(f"/api/queries/{query}").status_code == 204
    assert client.get(f"/api/queries/{query}").status_code == 404


def test_the_openapi_description_fits_the_answers(client: TestClient, application: Application, upload: Upload) -> None:
    document = client.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert len(document["paths"]) >= 15
    query = upload()
    for address in application.addresses():
        plain = address.path.replace(":number", "")
        operation = document["paths"][plain][address.method.lower()]
        if address.method != "GET" or isinstance(address.answer, str) or "map" in plain:
            continue
        answer = client.get(plain.replace("{query}", query).replace("{row}", "0"))
        reference = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**reference, "components": document["components"]})
    json.dumps(document)


def test_names_of_uploads_are_shortened_to_what_can_be_shown() -> None:
    assert short_name("C:\\folder\\a.off") == "a.off"
    assert short_name("../../a\n.off") == "a\\n.off"
    assert len(short_name("a" * 500 + ".off")) == 120
    assert short_name("") == "unnamed"


def test_all_modules_of_the_page_are_asked_for_at_once(client: TestClient) -> None:
    """Without this, the browser finds the imports of a module only when it has the module."""
    page = client.get("/").text
    asked = {f"/static/{name}" for name in re.findall(r'<link rel="modulepreload" href="/static/([\w.]+)">', page)}
    found, left = set(), ["/static/app.js"]
    while left:
        text = client.get(left.pop()).text
        names = {f"/static/{name}" for name in re.findall(r'^import .* from "\./([\w.]+)";$', text, re.MULTILINE)}
        left += names - found
        found |= names
    assert asked == found != set()
