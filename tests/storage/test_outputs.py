"""Publishing at a URL: whole or not at all, wherever the writer is stopped; and each upload once."""

from __future__ import annotations

import errno
import json
import os
import random
import re
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
from shapecnn.storage import outputs
from shapecnn.storage.objects import cache, heads, shards, snapshot
from shapecnn.storage.objects.heads import OBJECTS, head_url
from shapecnn.storage.objects.snapshot import latest
from shapecnn.storage.objects.store import BLOCK, delete_objects, list_objects, write_object
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.outputs import Objects, written
from shapecnn.storage.publishing import publish, published
from shapecnn.storage.reading import sha256
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME, claim
from tests.stores import Proxy, forget


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not published yet is this test's alone, and may be removed without harm to others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))


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


def test_too_many_files_are_refused_before_they_are_uploaded(place: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "LARGEST_TABLE", 1000)
    with pytest.raises(UsageError, match=r"^21 files are too many for .*: publish parts of the collection apart\.$"):
        write(place, PICTURES)
    assert stored(place) == set()


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
    with pytest.raises(UsageError, match=r"was published anew .* whose work, which is not published, is in /"):
        write(bucket, {"a": b"later"})
    shutil.rmtree(cache.fetched_folder().parent / "work")
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


def test_unfinished_work_of_an_older_version_is_not_dropped(bucket: Url, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), written(bucket) as made:  # noqa: PT012
        claim(made / RESUME)
        raise OSError(errno.ENOSPC, "full")
    _publish_elsewhere(bucket, {"a": b"x"})
    where = re.escape(str(made.parents[1]))
    with pytest.raises(UsageError, match=rf"which is not published, is in {where}\. Move this folder away"):
        write(bucket, PICTURES)
    shutil.move(made.parents[1], tmp_path / "moved")
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


def test_finished_work_survives_a_usage_error(bucket: Url, proxy: Proxy) -> None:
    """Hours of training, whose upload failed."""
    proxy.faults.plan = {r"PUT .*/heads/": ["503", "…"]}
    with pytest.raises(ObjectStoreError):
        write(bucket, PICTURES)
    proxy.faults.plan = {}
    with (
        pytest.raises(UsageError, match=r"^other settings\. What a command made before, .* is in /") as refused,
        written(bucket) as made,
    ):
        raise UsageError("other settings.")
    assert (made / "chair/3.png").read_bytes() == PICTURES["chair/3.png"]
    assert str(made.parents[1]) in str(refused.value)
    write(bucket, PICTURES)
    assert read(bucket) == PICTURES


def test_work_that_was_published_is_not_in_the_way(bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer was killed after the head was created, before its work folder was removed."""
    with monkeypatch.context() as killed:
        killed.setattr(outputs, "_clear", lambda _: None)
        with written(bucket) as made:
            publish(made, {"a": b"x"})
    with written(bucket) as again:
        assert (again / "a").read_bytes() == b"x"
        publish(again, {"a": b"y"})
    assert made == again
    assert read(bucket) == {"a": b"y"}


def test_moved_work_does_not_count_as_begun(bucket: Url, tmp_path: Path) -> None:
    write(bucket, {"a": b"x"})
    with pytest.raises(OSError, match="full"), written(bucket) as made:  # noqa: PT012
        claim(made / RESUME)
        raise OSError(errno.ENOSPC, "full")
    shutil.move(made.parents[1], tmp_path / "moved")
    with written(bucket) as again:
        assert (again / "a").read_bytes() == b"x"
        publish(again, {"a": b"y"})


@pytest.mark.parametrize("damage", ["head", "table", "object", "lost object", "lost table"])
def test_a_damaged_version_is_replaced_only_with_overwrite(damage: str, place: Url) -> None:
    write(place, PICTURES)
    found = latest(place, fresh=True)
    assert found is not None
    broken = {"head": head_url(place, 1), "table": place / OBJECTS / found.head.table.object}
    url = broken.get(damage.split()[-1], place / OBJECTS / found.table["chair/3.png"].object)
    if damage.startswith("lost"):
        delete_objects([url])
    else:
        write_object(url, b"{")
    shutil.rmtree(cache.fetched_folder(), ignore_errors=True)
    forget()
    with pytest.raises(StoredDataError, match="--overwrite"):
        write(place, PICTURES)
    with pytest.raises(OSError, match="full"), written(place, overwrite=True) as made:  # noqa: PT012
        assert [*made.iterdir()] == []
        (made / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "full")
    with written(place, overwrite=True) as made:
        assert (made / "half").read_bytes() == b"x"
        publish(made, {"b": b"y"})
    assert read(place) == {"b": b"y"}
    write(place, {"a": b"x"})
    assert read(place) == {"a": b"x"}


def test_a_version_of_a_later_shapecnn_is_not_replaced(bucket: Url) -> None:
    write_object(head_url(bucket, 1), b'{"schema_version": 2}')
    with pytest.raises(StoredDataError, match="another version of shapecnn"), written(bucket, overwrite=True):
        pass


def test_a_writer_that_is_followed_at_once_is_not_late(bucket: Url, proxy: Proxy) -> None:
    """Another publishes the next version before the first has looked if it was late."""
    following = {"a": b"1", "b": b"2"}

    def after(request: str) -> None:
        if re.match(r"PUT .*/heads/00000001", request):
            _publish_elsewhere(bucket, following)

    proxy.faults.after = after
    write(bucket, {"a": b"1"})
    assert read(bucket) == following
    assert sorted(heads.head_numbers(bucket)) == [1, 2]


@pytest.mark.parametrize("name", ["base", ".lock", ".partial", ".publish", "files", "unpublished"])
def test_an_output_may_have_any_name(name: str, tmp_path: Path) -> None:
    url = as_path(f"file://{tmp_path}/store/{name}")
    assert isinstance(url, Url)
    for content in (b"x", b"y"):
        write(url, {"a": content})
        assert read(url) == {"a": content}


@pytest.mark.parametrize("objects", ["files", "shards"])
def test_a_file_is_uploaded_only_under_its_own_hash(objects: Objects, place: Url) -> None:
    with (  # noqa: PT012
        pytest.raises(StoredDataError, match=rf"^{place}/a\.png has changed since it was written"),
        written(place, objects=objects, names=lambda _: {"a.png": "a.png"}) as made,
    ):
        publish(made, {"a.png": b"x"})
        (made / "a.png").write_bytes(b"y")
    assert not [name for name in stored(place) if name.endswith((".png", ".tar"))]


@pytest.mark.parametrize("objects", ["files", "shards"])
def test_a_file_that_changes_while_it_is_uploaded_is_not_published(objects: Objects, bucket: Url, proxy: Proxy) -> None:
    """What is sent is what is hashed: a file is not hashed first and read again."""
    content = bytes(5 * BLOCK)

    def change(request: str) -> None:
        if "?uploads" in request:
            with max(made.parent.rglob("*"), key=lambda path: path.stat().st_size).open("r+b") as file:
                file.seek(-2000, os.SEEK_END)
                file.write(b"y")

    proxy.faults.after = change
    with (
        pytest.raises(StoredDataError, match=r"has changed since it was written"),
        written(bucket / "out", objects=objects, names=lambda _: {"a.png": "a.png"}) as made,
    ):
        publish(made, {"a.png": content})
    assert not [name for name in stored(bucket) if name.endswith((".png", ".tar"))]


def test_what_is_brought_or_large_is_checked(place: Url) -> None:
    content = bytes(BLOCK + 1)
    write(place, {"a": b"x" * 100, "large": content})
    found = latest(place, fresh=True)
    assert found is not None
    found.path("a").write_bytes(b"damaged")
    with written(place) as made:
        assert (made / "a").read_bytes() == b"x" * 100
    shutil.rmtree(cache.fetched_folder())
    write_object(place / OBJECTS / found.table["large"].object, b"1" + content[1:])
    with pytest.raises(StoredDataError, match=r"has changed since it was published .* --overwrite"):
        found.path("large")
    assert not [path for path in cache.fetched_folder().rglob("*") if path.is_file()]


def test_a_prefix_that_was_emptied_and_published_anew(bucket: Url) -> None:
    write(bucket, {"a": b"old"})
    known = latest(bucket, fresh=True)
    with pytest.raises(OSError, match="full"), written(bucket) as made:  # noqa: PT012
        claim(made / RESUME)
        raise OSError(errno.ENOSPC, "full")
    delete_objects([bucket / name for name in stored(bucket)])
    _publish_elsewhere(bucket, {"a": b"new"})
    found = latest(bucket, fresh=True)
    assert known is not None
    assert found is not None
    assert found.path("a").read_bytes() == b"new"
    with pytest.raises(UsageError, match="was published anew"):
        write(bucket, {"a": b"x"})


GOOD = ["a", 1, "0" * 64, f"00000001/{'0' * 64}", 0]


@pytest.mark.parametrize(
    "rows",
    [
        [[*GOOD[:4], 10**30]],
        [[*GOOD[:4], True]],
        [["a", -1, *GOOD[2:]]],
        *(
            [[name, *GOOD[1:]]]
            for name in (".", "", "/a", "a//b", "a/", "../a", "a/./b", "a\0", "\ud800", "é" * 150, 7)
        ),
        [GOOD, ["a/b", *GOOD[1:]]],
        [GOOD, ["a/b/c", *GOOD[1:]]],
        "abc",
        [[]],
        [None],
        None,
    ],
)
def test_a_hostile_table_is_damaged(rows: object, place: Url) -> None:
    table = json.dumps({"schema_version": 1, "files": rows}).encode()
    name = f"00000001/{sha256(table)}.json"
    write_object(place / OBJECTS / name, table)
    where = heads.Location(len(table), sha256(table), name, 0)
    write_object(head_url(place, 1), heads.Head(1, where, 1, 1, "x", None).content())
    with pytest.raises(StoredDataError) as failed, written(place):
        pass
    assert re.search(r"\.json is damaged \((it is not|a path or|a file in it)", str(failed.value))
    assert "--overwrite" in str(failed.value)


READER = """
import sys
from shapecnn.storage.objects import cache
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.sealed import open_sealed
cache.LIMIT = 1_000_000
open_sealed(as_path(sys.argv[1]), "").read(sys.argv[2])
"""


def test_processes_share_the_bound_of_the_cache(tmp_path: Path) -> None:
    """Each fetches little; together it is more than may be kept."""
    url = as_path(f"file://{tmp_path}/store")
    assert isinstance(url, Url)
    write(url, {f"{number}.png": bytes([number]) * 400_000 for number in range(5)})
    for number in range(5):
        subprocess.run([sys.executable, "-c", READER, str(url), f"{number}.png"], check=True)
        kept = [path.stat().st_size for path in cache.fetched_folder().rglob("*") if path.is_file()]
        assert 0 < sum(kept) <= 1_000_000, number


def test_a_file_that_is_larger_than_the_cache(place: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(BLOCK + 1)
    write(place, {"large": content})
    monkeypatch.setattr(cache, "LIMIT", 1_000_000)
    assert read(place) == {"large": content}
    shutil.rmtree(cache.fetched_folder())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(
        ObjectStoreError, match=r"needs 0\.0 GB for what is fetched, .*Make room there, or set XDG_CACHE"
    ):
        read(place)


def test_the_cache_is_bounded_and_keeps_what_was_used_last(bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    large = {f"{number:02}.png": bytes([number]) * 100_000 for number in range(40)}
    write(bucket, large, "shards")
    monkeypatch.setattr(cache, "LIMIT", 1_000_000)
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
