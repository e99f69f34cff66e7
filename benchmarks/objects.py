"""Rendering and reading in a bucket, beside local folders: seconds and memory. The bucket is in moto, on this machine.

    python benchmarks/objects.py --shapes 300 --json results/objects.json

The first meshes of psb.zip are drawn with 12 views of 64 pixels by two workers, so small that storage is much of the
work: the whole command, from a folder to a folder and from a bucket to a bucket. Then a new process reads all views
once, with an empty cache and with a full one. At last, files of 200 kB are read from shards: the memory of the process
must not grow with their number. moto is written in Python: the figures say what shapecnn adds, not how fast a store is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import ROOT, arguments, save, table

from shapecnn.meshes.collection import list_shapes
from shapecnn.storage.objects.store import write_object
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.outputs import Objects, written
from shapecnn.storage.publishing import publish
from shapecnn.storage.reading import sha256

FILE = 200_000  # bytes of each of the files whose number grows
MANY = (250, 1000, 4000)  # 50, 200 and 800 MB

READER = """
import json, resource, sys, time
from shapecnn import open_artefacts
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.objects.url import as_path
started = time.perf_counter()
if sys.argv[2] == "pictures":
    artefacts = open_artefacts(sys.argv[1])
    for entry in artefacts.entries:
        artefacts.pictures(entry)
else:
    sealed = open_sealed(as_path(sys.argv[1]), "")
    for name in sealed.sums:
        sealed.read(name)
seconds = time.perf_counter() - started
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def read(place: Path, what: str) -> tuple[float, float]:
    """Seconds, and the largest memory in MB, of a new process that reads all once."""
    done = subprocess.run([sys.executable, "-c", READER, str(place), what], stdout=subprocess.PIPE, check=True)
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def render(source: Path, out: Path, *options: str) -> float:
    """Seconds of the whole command, publishing included."""
    command = [sys.executable, "-P", "-m", "shapecnn", "render", str(source), str(out), "--up", "y", "--size", "64"]
    started = time.perf_counter()
    subprocess.run([*command, "--workers", "2", "--quiet", *options], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def forget(cache: Path) -> None:
    shutil.rmtree(cache / "shapecnn" / "objects", ignore_errors=True)


def fill(url: Url, count: int) -> None:
    """Publish files of random bytes in shards."""
    names = {f"{number:05}.png": f"{number:05}.png" for number in range(count)}
    shards: Objects = "shards"
    with written(url, objects=shards, names=lambda _: names) as folder:
        hashes = {}
        for name in names:
            content = os.urandom(FILE)
            (folder / name).write_bytes(content)
            hashes[name] = sha256(content)
        publish(folder, {}, hashes)


def main() -> None:
    options = arguments(__doc__ or "", shapes=300, repeats=3)
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    from tests.stores import CREDENTIALS, SERVER

    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        assert server.stdin is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/measured", method="PUT")).close()
        cache = Path(scratch) / "cache"
        os.environ.update(CREDENTIALS, AWS_ENDPOINT_URL=endpoint, XDG_CACHE_HOME=str(cache))
        figures = measure(options, Path(scratch), cache)
        server.stdin.close()
    save(options.json, figures, [options.data / "psb.zip"])


def measure(options: Any, scratch: Path, cache: Path) -> dict[str, Any]:
    bucket = as_path("s3://measured")
    assert isinstance(bucket, Url)
    shapes = list_shapes(options.data / "psb.zip")[: options.shapes]
    with zipfile.ZipFile(options.data / "psb.zip") as archive:
        for shape in shapes:
            content = archive.read(str(shape.member))
            path = scratch / "meshes" / shape.id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            write_object(bucket / "meshes" / shape.id, content)
    render(scratch / "meshes", scratch / "warm")  # compiles the kernels
    ways: list[tuple[str, Path, Path, list[str]]] = [
        ("folders", scratch / "meshes", scratch, []),
        ("bucket, files", bucket / "meshes", bucket, ["--objects", "files"]),
        ("bucket, shards", bucket / "meshes", bucket, ["--objects", "shards"]),
    ]
    drawn: dict[str, list[float]] = {name: [] for name, *_ in ways}
    for repeat in range(options.repeats):  # one after the other, so that a busy machine is busy for all
        for number, (name, source, place, more) in enumerate(ways):
            drawn[name].append(render(source, place / f"views-{number}-{repeat}", *more))
    rows = []
    for number, (name, _, place, _) in enumerate(ways):
        cold, warm = [], []
        for repeat in range(options.repeats):
            forget(cache)
            cold.append(read(place / f"views-{number}-{repeat}", "pictures"))
            warm.append(read(place / f"views-{number}-{repeat}", "pictures"))
        rows.append(
            {
                "where": name,
                "render_seconds": median(drawn[name]),
                "read_seconds": median(seconds for seconds, _ in cold),
                "read_again_seconds": median(seconds for seconds, _ in warm),
                "read_memory_mb": median(memory for _, memory in cold),
            }
        )
    memory = []
    for count in MANY:
        fill(bucket / f"many-{count}", count)
        forget(cache)
        seconds, largest = read(bucket / f"many-{count}", "all")
        memory.append({"mb": count * FILE / 1e6, "seconds": seconds, "memory_mb": largest})
    for each in (rows, memory):
        headings = [*each[0]]
        print(table(headings, [[v if isinstance(v, str) else f"{v:.2f}" for v in row.values()] for row in each]))
    return {"shapes": len(shapes), "views": 12, "size": 64, "load": os.getloadavg()[1], "rows": rows, "memory": memory}


if __name__ == "__main__":
    main()
