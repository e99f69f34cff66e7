"""Publishing at a URL: whole or not at all, wherever the writer is stopped; and each upload once."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from shapecnn.errors import BusyError, ObjectStoreError, StoredDataError, UsageError
from shapecnn.storage.objects import cache, heads, shards, snapshot
from shapecnn.storage.objects.heads import OBJECTS, head_url
from shapecnn.storage.objects.snapshot import latest
from shapecnn.storage.objects.store import delete_objects, list_objects, write_object
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.outputs import Objects, written
from shapecnn.storage.publishing import publish, published
from shapecnn.storage.reading import sha256
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME, claim
from tests.stores import Proxy, forget


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Url:
    """A prefix in a bucket, or a local folder."""
    if request.param == "s3":
        return request.getfixturevalue("bucket") / "out"  # type: ignore[no-any-return]
    url = as_path(f"file://{tmp_path}/store/out")
    assert isinstance(url, Url)
    return url


def write(url: Url, files: Mapping[str, bytes], objects: Objects | None = None) -> None:
    """Publish files as a command would; those called ``*.png`` may be packed."""
    with written(url, objects=objects, names=lambda _: {name: name for name in files if name.endswith(".png")}) as made:
        for path in made.rglob("*.png"):
            path.unlink()
        for name, content in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(content)
        hashes = {name: _sha(content) for name, content in files.items()}
        publish(made, {}, hashes)


def _sha(content: bytes) -> str:
    return sha256(content)


def read(url: Url, monkeypatch: pytest.MonkeyPatch | None = None) -> dict[str, bytes] | None:
    """All published files, as a process on another machine reads them: nothing is known, nothing is in the cache."""
    forget()
    shutil.rmtree(cache.fetched_folder(), ignore_errors=True)
    if latest(url) is None:
        return None
    sealed = open_sealed(url, "")
    return {name: sealed.read(name) for name in sealed.sums}


def stored(url: Url) -> set[str]:
    return {name for name, _ in list_objects(url)}


PICTURES = {f"chair/{number}.png": bytes([number]) * 1000 for number in range(20)}


@pytest.mark.parametrize("objects", ["files", "shards"])
def test_what_is_published_is_read(place: Url, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 8000)
    files = {"settings.json": b"{}", **PICTURES, "chair/empty.png": b""}
    assert read(place) is None
    write(place, files, objects)
    assert read(place) == files
    packs = {name for name in stored(place) if name.endswith(".tar")}
    assert len(packs) == (4 if objects == "shards" else 0)
    work = cache.fetched_folder().parent / "work"
    assert not [path for path in work.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize("objects", ["files", "shards"])
def test_an_update_uploads_what_is_new_and_keeps_one_version_before(
    place: Url, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 8000)
    write(place, PICTURES, objects)
    first = stored(place)
    old = latest(place, fresh=True)
    assert old is not None
    write(place, PICTURES, None)
    assert stored(place) == first  # nothing has changed: no version
    changed = {**PICTURES, "chair/3.png": b"new", "lamp/1.png": b"lamp"}
    del changed["chair/7.png"]
    write(place, changed)  # in shards if it was
    assert read(place) == changed
    second = stored(place)
    assert first < second
    new = {name for name in second - first if not name.endswith((".json", "/" + _sha_of_sums(place)))}
    assert len(new) == (1 if objects == "shards" else 2)
    assert {name: old.path(name).read_bytes() for name in PICTURES} == PICTURES  # its readers are not disturbed
    third = {"chair/3.png": b"newest"}
    write(place, third)
    assert read(place) == third
    assert not stored(place) & {name for name in first if "/00000001" in name} - {
        f"{OBJECTS}/{each.object}" for each in (latest_before(place).table.values())
    }


def _sha_of_sums(url: Url) -> str:
    found = latest(url, fresh=True)
    assert found is not None
    return found.table["SHA256SUMS"].sha256


def latest_before(url: Url) -> snapshot.Snapshot:
    number = max(heads.head_numbers(url)) - 1
    head = heads.read_head(url, number)
    return snapshot.Snapshot(url, head, heads.read_table(url, head))


def test_a_shard_that_is_hardly_needed_is_packed_anew(bucket: Url) -> None:
    write(bucket, PICTURES, "shards")
    kept = {name: PICTURES[name] for name in [*PICTURES][:3]}
    write(bucket, kept)
    found = latest(bucket, fresh=True)
    assert found is not None
    assert {each.object[:8] for name, each in found.table.items() if name in kept} == {"00000002"}


def test_a_shard_of_small_files_is_kept(bucket: Url) -> None:
    """Headers and padding of tar are not what is no longer needed."""
    small = {name: content[:10] for name, content in PICTURES.items()}
    write(bucket, small, "shards")
    write(bucket, {**small, "lamp/1.png": b"lamp"})
    found = latest(bucket, fresh=True)
    assert found is not None
    assert [name for name, each in found.table.items() if name.endswith(".png") and each.object[:8] == "00000002"] == [
        "lamp/1.png"
    ]


def test_an_interrupted_upload_is_continued(bucket: Url, proxy: Proxy) -> None:
    proxy.faults.plan = {r"PUT .*/heads/": ["503", "…"]}
    with pytest.raises(ObjectStoreError, match=r"heads/00000001\.json: the object store did not answer as expected"):
        write(bucket, PICTURES)
    assert read(bucket) is None
    proxy.faults.plan = {}
    proxy.faults.seen.clear()
    write(bucket, PICTURES)
    assert read(bucket) == PICTURES
    assert sum(name.startswith("PUT") for name, _ in proxy.faults.seen) == 2  # the table and the head


def test_an_upload_that_fails_ends_soon_and_names_the_object(bucket: Url, proxy: Proxy) -> None:
    proxy.faults.plan = {r"PUT .*/objects/": ["503", "…"]}
    with pytest.raises(ObjectStoreError, match=r"objects/00000001/[0-9a-f]{64}\.png: the object store did not answer"):
        write(bucket, {f"{number}.png": bytes([number]) for number in range(200)})
    assert len({name for name, fault in proxy.faults.seen if fault == "503"}) < 50  # of 200


def test_of_two_writers_one_is_told(bucket: Url) -> None:
    with pytest.raises(BusyError, match=r"has published at s3://[\w-]+ in the meantime\. Nothing of it was changed"):
        _publish_late(bucket, [{"a": b"early"}])
    assert read(bucket) == {"a": b"early"}
    write(bucket, {"a": b"later"})
    assert read(bucket) == {"a": b"later"}


def test_a_writer_who_is_several_versions_late_is_told(bucket: Url) -> None:
    with pytest.raises(BusyError, match="in the meantime"):
        _publish_late(bucket, [{"a": b"early", "n": bytes([number])} for number in range(4)])
    assert read(bucket) == {"a": b"early", "n": b"\3"}


def _publish_late(url: Url, others: list[dict[str, bytes]]) -> None:
    """Publish after others, who began later, have published several versions."""
    with written(url) as made:
        publish(made, {"a": b"late"})
        for files in others:
            _publish_elsewhere(url, files)


def _publish_elsewhere(url: Url, files: dict[str, bytes]) -> None:
    """Publish as another machine does, whose cache folder is another."""
    code = """
import sys
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.outputs import written
from shapecnn.storage.publishing import publish
with written(as_path(sys.argv[1])) as made:
    publish(made, eval(sys.argv[2]))
"""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        subprocess.run([sys.executable, "-c", code, str(url), repr(files)], check=True, env=environment)


def test_two_writers_on_one_machine(bucket: Url) -> None:
    with written(bucket) as made:
        with pytest.raises(BusyError, match=rf"Another shapecnn process is writing to {bucket}"):
            write(bucket, {"a": b"x"})
        publish(made, {"a": b"y"})
    assert read(bucket) == {"a": b"y"}


def test_objects_of_the_user_are_not_touched(place: Url) -> None:
    write_object(place / "chair.off", b"mesh")
    with pytest.raises(UsageError, match=r"holds 'chair.off', which shapecnn did not write"):
        write(place, PICTURES)
    with written(place, overwrite=True) as made:
        publish(made, {"a": b"x"})
    assert "chair.off" in stored(place)
    assert read(place) == {"a": b"x"}


def test_a_usage_error_leaves_nothing_and_work_that_was_begun_stays(bucket: Url) -> None:
    work = cache.fetched_folder().parent / "work"
    with pytest.raises(UsageError, match=rf"^{bucket} is wrong$"), written(bucket) as made:
        raise UsageError(f"{made} is wrong")
    assert not made.exists()
    with pytest.raises(OSError, match="full"), written(bucket) as made:  # noqa: PT012
        (made / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "full")
    with written(bucket) as again:
        assert (again / "half").read_bytes() == b"x"
        publish(again, {"a": b"x"})
    assert again == made
    assert work in made.parents


def test_unfinished_work_of_an_older_version_is_not_dropped(bucket: Url) -> None:
    with pytest.raises(OSError, match="full"), written(bucket) as made:  # noqa: PT012
        claim(made / RESUME)
        raise OSError(errno.ENOSPC, "full")
    _publish_elsewhere(bucket, {"a": b"x"})
    with pytest.raises(UsageError, match=r"whose unfinished work is in .*Move this folder away"):
        write(bucket, PICTURES)
    shutil.rmtree(made.parent)
    write(bucket, PICTURES)
    assert read(bucket) == PICTURES


def test_damage_in_the_store_and_in_the_cache(bucket: Url) -> None:
    write(bucket, PICTURES)
    found = latest(bucket, fresh=True)
    assert found is not None
    sealed = open_sealed(bucket, "Make it again.")
    name, *_, last, other = PICTURES  # read in the order of their paths
    sealed.read(name)
    published(bucket, name).write_bytes(b"damaged")
    assert sealed.read(name) == PICTURES[name]  # fetched anew
    shutil.rmtree(cache.fetched_folder())
    write_object(bucket / OBJECTS / found.table[other].object, b"x" * 1000)
    assert sealed.read(last) == PICTURES[last]  # fetched together with the damaged one
    with pytest.raises(StoredDataError, match="has changed since it was published"):
        sealed.read(other)
    delete_objects([bucket / OBJECTS / found.table[other].object])
    shutil.rmtree(cache.fetched_folder())
    assert sealed.read(last) == PICTURES[last]
    with pytest.raises(StoredDataError, match="was replaced while it was read, or objects in it were lost"):
        sealed.read(other)
    head = head_url(bucket, 1)
    for content, message in (
        (b"{", "is damaged"),
        (b'{"schema_version": 2}', "by another version of shapecnn"),
        (b'{"schema_version": 1, "table": [1, "../x", "y"]}', "is damaged"),
    ):
        write_object(head, content)
        forget()
        with pytest.raises(StoredDataError, match=message):
            latest(bucket)


def test_the_cache_is_bounded_and_keeps_what_was_used_last(bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    large = {f"{number:02}.png": bytes([number]) * 100_000 for number in range(40)}
    write(bucket, large, "shards")
    monkeypatch.setattr(cache, "LIMIT", 1_000_000)
    monkeypatch.setattr(cache, "_written", 0)
    assert read(bucket) == large
    kept = [path.stat().st_size for path in cache.fetched_folder().rglob("*") if path.is_file()]
    assert sum(kept) < 1_300_000
    forget()
    sealed = open_sealed(bucket, "")
    for name in [*large][::-7]:  # in no order: each alone
        assert sealed.read(name) == large[name]


def test_files_that_are_read_in_their_order_are_fetched_together(bucket: Url, proxy: Proxy) -> None:
    write(bucket, PICTURES, "shards")
    proxy.faults.seen.clear()
    assert read(bucket) == PICTURES
    assert sum(".tar" in name for name, _ in proxy.faults.seen) == 1


WRITER = """
import sys
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.outputs import written
from shapecnn.storage.publishing import publish
number = int(sys.argv[2])
print("begun", flush=True)
names = {f"{i}.png": f"{i}.png" for i in range(12)}
with written(as_path(sys.argv[1]), objects=sys.argv[3], names=lambda _: names) as made:
    publish(made, {f"{i}.png": b"%d of %d" % (i, number if i % 3 else 0) for i in range(12)})
print("done", flush=True)
"""


@pytest.mark.parametrize("objects", ["files", "shards"])
def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(place: Url, objects: str) -> None:
    """25 moments in a bucket for each way to store, and 5 in a folder: the new version is not there, or whole."""
    draw = random.Random(objects)
    last = 26 if place.bucket.startswith("s3:") else 6
    expected: list[dict[str, bytes] | None] = [None]
    outcomes = []
    longest = 0.3
    for number in range(1, last + 1):
        files = {f"{i}.png": b"%d of %d" % (i, number if i % 3 else 0) for i in range(12)}
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place), str(number), objects], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        if number < last:
            time.sleep(draw.uniform(0, longest))
            process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.stdout.close()
        process.wait()
        found = read(place)
        assert found in (expected[-1], files), number
        longest *= 0.85 if found == files else 1.2  # moments before and after the head, however busy the machine is
        outcomes.append((found == files, rest == b"done\n"))
        expected.append(found)
    assert outcomes[-1] == (True, True)  # in the end the command runs through
    if last > 6:
        assert {new for new, _ in outcomes[:-1]} == {True, False}  # kills before and after the head
