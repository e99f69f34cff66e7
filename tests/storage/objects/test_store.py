"""Single objects: what passes is asked for again, what does not is said in a sentence."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shapecnn.errors import MissingLibraryError, ObjectStoreError
from shapecnn.storage.objects import store
from shapecnn.storage.objects.store import (
    BLOCK,
    create_object,
    delete_objects,
    list_objects,
    read_object,
    read_range,
    write_object,
)
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.outputs import written
from shapecnn.storage.publishing import publish, published
from tests.solids import write_box
from tests.stores import Proxy, forget

SMALL = ["--resolution", "16", "--padding", "1", "--workers", "1"]

NAMES = ["a.off", "b c/d+é%41#?.off", "b c/~'(1).off", "deep/er/est/x"]


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Url:
    """A prefix in a bucket, or a local folder."""
    if request.param == "s3":
        return request.getfixturevalue("bucket") / "some" / "prefix"  # type: ignore[no-any-return]
    url = as_path(f"file://{tmp_path}/some/prefix")
    assert isinstance(url, Url)
    return url


def test_objects_are_written_listed_read_and_deleted_under_any_name(place: Url) -> None:
    for number, name in enumerate(NAMES):
        write_object(place / name, bytes([number]) * 10)
    write_object(place.with_name("prefix-2") / "other", b"x")  # the prefix ends at a slash
    assert sorted(list_objects(place)) == sorted((name, 10) for name in NAMES)
    for number, name in enumerate(NAMES):
        assert read_object(place / name) == bytes([number]) * 10
        assert read_range(place / name, 3, 4) == bytes([number]) * 4
    assert [*list_objects(place / NAMES[0])] == []  # nothing is below an object
    delete_objects([place / NAMES[0], place / "absent", place / NAMES[1]])
    assert sorted(name for name, _ in list_objects(place)) == sorted(NAMES[2:])
    with pytest.raises(FileNotFoundError):
        read_object(place / NAMES[0])


def test_empty_and_large_objects(place: Url) -> None:
    write_object(place / "empty", b"")
    assert read_object(place / "empty") == b""
    content = os.urandom(BLOCK * 2 + 17)
    write_object(place / "large", lambda: iter([content[: BLOCK + 5], content[BLOCK + 5 :]]))
    assert read_object(place / "large") == content
    with pytest.raises(ValueError, match=str(len(content))):
        read_object(place / "large", BLOCK)


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(bucket: Url, proxy: Proxy) -> None:
    old, new = bytes(2 * BLOCK), b"x" * 2 * BLOCK
    write_object(bucket / "one", old)
    proxy.faults.after = lambda request: write_object(bucket / "one", new) if request.startswith("GET") else None
    with pytest.raises(ObjectStoreError, match="was replaced while it was read"):
        read_object(bucket / "one")
    proxy.faults.after = lambda _: None
    assert read_object(bucket / "one") == new


def test_an_object_is_created_once(place: Url) -> None:
    assert create_object(place / "head", b"mine")
    assert not create_object(place / "head", b"yours")
    assert read_object(place / "head") == b"mine"


@pytest.mark.parametrize("fault", ["503", "reset", "cut"])
def test_faults_that_pass_are_not_seen(fault: str, bucket: Url, proxy: Proxy) -> None:
    content = os.urandom(100_000)
    proxy.faults.plan = {"PUT .*/one": [fault, fault], "GET .*/one": [fault, fault], "list-type": [fault]}
    if fault == "cut":
        del proxy.faults.plan["PUT .*/one"]
    write_object(bucket / "one", content)
    assert read_object(bucket / "one") == content
    assert read_range(bucket / "one", 1000, 50_000) == content[1000:51_000]
    assert [*list_objects(bucket)] == [("one", 100_000)]
    assert [name for name, done in proxy.faults.seen if done == fault]
    assert not any(proxy.faults.plan.values())


def test_a_slow_answer_is_given_up_and_asked_for_again(
    bucket: Url, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(bucket / "one", b"content" * 100)
    monkeypatch.setattr(store, "_REQUEST_SECONDS", 1)
    forget()
    proxy.faults.plan = {"GET .*/one": ["slow"]}  # would take 5 seconds
    started = time.monotonic()
    assert read_object(bucket / "one") == b"content" * 100
    assert time.monotonic() - started < 4.5
    assert [done for _, done in proxy.faults.seen[-2:]] == ["slow", "ok"]


@pytest.mark.parametrize(("fault", "detail"), [("503", "503 Service Unavailable, SlowDown"), ("cut", "")])
def test_a_fault_that_stays_is_said_in_a_sentence(fault: str, detail: str, bucket: Url, proxy: Proxy) -> None:
    write_object(bucket / "one", b"content" * 100)
    proxy.faults.plan = {"GET .*/one": [fault, "…"]}
    with pytest.raises(ObjectStoreError) as failed:
        read_object(bucket / "one")
    message = str(failed.value)
    assert message.startswith(f"{bucket}/one: the object store did not answer as expected, also not when asked again (")
    assert detail in message
    assert "\n" not in message
    asked = sum("/one" in name for name, done in proxy.faults.seen if done == fault)
    assert asked == 1 + store._RETRIES if fault == "503" else asked <= store._TRIES * (1 + store._RETRIES)


def test_a_head_whose_answer_was_lost_is_ours(bucket: Url, proxy: Proxy) -> None:
    proxy.faults.plan = {"PUT .*/head": ["lost"]}
    assert create_object(bucket / "head", b"mine")
    assert not create_object(bucket / "head", b"yours")


def test_no_bucket_no_credentials_and_no_server(bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObjectStoreError, match=r"there is no such bucket\. Check the name, or create the bucket\."):
        write_object(as_path("s3://no-such-bucket/x"), b"")  # type: ignore[arg-type]
    with pytest.raises(
        ObjectStoreError, match=r"no credentials\. Set the environment variables AZURE_STORAGE_ACCOUNT_NAME and"
    ):
        read_object(as_path("az://container/x"))  # type: ignore[arg-type]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget()
    with pytest.raises(ObjectStoreError, match="Check the endpoint and the connection"):
        [*list_objects(bucket)]
    forget()


def test_settings_of_google_and_azure_are_those_of_their_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores are opened, not reached: no server of theirs runs here."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    forget()
    assert type(store._open("az://container", 0)).__name__ == "AzureStore"
    assert "bucket" in repr(store._open("gs://bucket", 0))
    forget()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'shapecnn\[objects\]'"):
        [*list_objects(as_path("s3://bucket"))]  # type: ignore[arg-type]


def test_local_commands_do_not_need_obstore(tmp_path: Path) -> None:
    mesh = write_box(tmp_path / "meshes" / "a.off")
    code = """
import sys
import threading
sys.modules["obstore"] = None
from shapecnn.cli.main import main
sys.argv[:1] = ["shapecnn", "voxelize"]
main()
"""
    command = [sys.executable, "-c", code, str(mesh.parent), str(tmp_path / "grids"), *SMALL]
    subprocess.run(command, check=True)
    assert (tmp_path / "grids" / "settings.json").exists()


@pytest.mark.usefixtures("bucket")
def test_a_password_in_the_endpoint_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://someone:hunter2@127.0.0.1:9")
    forget()
    with pytest.raises(ObjectStoreError) as failed:
        read_object(as_path("s3://b/x"))  # type: ignore[arg-type]
    forget()
    assert "…@127.0.0.1:9" in str(failed.value)
    assert "hunter2" not in str(failed.value)
    assert "someone" not in str(failed.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "localhost:9000",
        "someone:hunter2@localhost:9",
        "http://someone:hun/ter2@localhost:9",
        "http://someone:12/hunter2@localhost:9",
        "http://someone:hun@ter2@localhost:9",
        "http://some one:hunter2@localhost:9",
        "http://someone:hunter2@localhost:99999",
    ],
)
def test_an_endpoint_that_is_no_url_is_not_used(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore would end in a panic of Rust."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    forget()
    with pytest.raises(ObjectStoreError) as failed:
        read_object(as_path("s3://b/x"))  # type: ignore[arg-type]
    message = str(failed.value)
    assert message.startswith("s3://b: the value of AWS_ENDPOINT_URL is not a URL such as http://localhost:9000.")
    assert "ter2" not in message


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION"])
def test_a_key_with_a_line_break_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As secrets have that were read from a file; obstore would end in a panic of Rust."""
    monkeypatch.setenv(name, "hunter2\n")
    forget()
    with pytest.raises(ObjectStoreError) as failed:
        read_object(as_path("s3://b/x"))  # type: ignore[arg-type]
    assert str(failed.value).startswith(f"s3://b: the value of {name} has a space, a line break or")
    assert "hunter2" not in str(failed.value)
    forget()


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    "endpoint", ["HTTP://127.0.0.1:9", "https://[::1]:9/path/", "http://a:b%40c@127.0.0.1:9", "http://localhost:9"]
)
def test_an_endpoint_that_is_a_url_is_used(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_RETRIES", 0)
    monkeypatch.setattr(store, "_TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    forget()
    with pytest.raises(ObjectStoreError, match="Check the endpoint and the connection"):
        read_object(as_path("s3://b/x"))  # type: ignore[arg-type]
    forget()


@pytest.mark.parametrize("key", ["a//b.off", "a/../b.off", "a/./b.off"])
def test_keys_that_are_no_paths(key: str, bucket: Url, s3_server: str) -> None:
    put_key(s3_server, bucket, key, b"mesh")
    with pytest.raises(
        ObjectStoreError, match=rf"^{bucket}: the object '{re.escape(key)}' has a name with a control character, or"
    ):
        [*list_objects(bucket)]


def put_key(server: str, bucket: Url, key: str, content: bytes) -> None:
    """Write an object as another program would, under any key."""
    connection = http.client.HTTPConnection(server.removeprefix("http://"))
    connection.request("PUT", f"/{bucket.bucket.removeprefix('s3://')}/{key}", content)
    assert connection.getresponse().status == 200
    connection.close()


def test_markers_of_folders_are_no_objects(bucket: Url, s3_server: str) -> None:
    """Consoles make an empty object ``out/`` for a folder."""
    for key in ("out/", "out/part/", "out/shapecnn/", "out/shapecnn/heads/"):
        put_key(s3_server, bucket, key, b"")
    with written(bucket / "out") as made:  # type: ignore[arg-type]
        publish(made, {"a": b"x"})
    assert published(bucket / "out", "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "AuthorizationFailure", "access is denied. Check the credentials and the rights on the bucket."),
        (404, "ContainerNotFound", "there is no such bucket. Check the name, or create the bucket."),
    ],
)
def test_answers_of_azure(status: int, code: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Azurite, Microsoft's emulator, on which the pipeline has run by hand."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>No.</Message></Error>'.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "shapes")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/shapes")
        forget()
        container = as_path("az://container")
        assert isinstance(container, Url)
        try:
            for ask in (lambda: [*list_objects(container)], lambda: read_object(container / "x")):
                with pytest.raises(ObjectStoreError, match=re.escape(message)):
                    ask()
        finally:
            server.shutdown()
            forget()
