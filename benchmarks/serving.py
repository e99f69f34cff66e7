"""The page of ``shapecnn serve`` in a browser, for indexes of 10,000 and 100,000 shapes.

    python benchmarks/serving.py --work /tmp/serving --json results/serving.json

The indexes are those of large_index.py; ``--work`` keeps them for the next time. Each visit starts the server, opens
the page in headless Chromium, clicks two shapes, and scrolls and jumps through the collection. The first visit finds no
pictures on the disk; the others find those of the same places. Then the map is computed. ``medians`` are those of the
others, in seconds: ``ready`` from the start of the command to its address; ``page``, ``listed``, ``first_picture`` and
``pictured`` (all pictures in sight) from the opening of the address; others from the click, the jump or the opening of
the map.

``ready_cpu``, ``pictured_cpu`` and ``cpu_seconds`` are CPU seconds from the start to the address, from the opening to
all pictures in sight (of the thread of the server that answers, of its processes that draw, and of the page), and of
the computation of a map. Other programs on the machine change them little. ``own_mb`` is the memory of the server
without the pages of the features, which are mapped from their file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import requests
from large_index import make_index
from measure import arguments, save, table
from playwright.sync_api import Browser, CDPSession, sync_playwright

WORDS = ["--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--ignore-gpu-blocklist"]  # fmt: skip
SCRIPT = Path(__file__).with_name("serving.js")
PATIENCE = 600_000  # milliseconds
JUMPS = (0.31, 0.77, 0.12, 0.55, 0.93)  # places in the list
ROWS = (0.4, 0.7)  # shapes that are clicked: the first while the server still loads the network
SCROLLING = 5  # seconds


@dataclass(frozen=True)
class Server:
    """A running server: its process, address, and seconds and CPU seconds until it printed the address."""

    process: psutil.Process
    url: str
    seconds: float
    cpu: float

    def usage(self) -> dict[str, float]:
        """Memory of the server in MB, without its worker processes."""
        return {"resident_mb": self.process.memory_info().rss / 1e6, "own_mb": own_mb(self.process)}

    def event_loop(self) -> float:
        """CPU seconds of the thread that answers requests; other threads load the network meanwhile."""
        threads = [each for each in self.process.threads() if each.id == self.process.pid]
        return float(sum(each.user_time + each.system_time for each in threads))

    def workers(self) -> float:
        """CPU seconds of the processes that draw pictures."""
        return cpu_seconds(self.process) - float(sum(self.process.cpu_times()[:2]))


@contextmanager
def serving(index: Path, caches: Path) -> Iterator[Server]:
    """Run the command until the block ends."""
    command = [sys.executable, "-m", "shapecnn", "serve", str(index), "--port", "0", "--json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(caches)}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        seconds = time.perf_counter() - started
        running = psutil.Process(process.pid)
        yield Server(running, place["url"], seconds, cpu_seconds(running))
    finally:
        process.terminate()
        process.wait()


def own_mb(process: psutil.Process) -> float:
    """Memory of a process in MB that is not a part of a file."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return float(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) * 1024 / 1e6


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process and its children, also of those that have ended."""
    return float(sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True))))


def visit(browser: Browser, server: Server) -> dict[str, Any]:
    """What a user does, and how long it takes."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(path=SCRIPT)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, workers = server.event_loop(), server.workers()
    page.goto(f"{server.url}#collection")
    figures: dict[str, Any] = {"ready": server.seconds, "ready_cpu": server.cpu, **page.evaluate("bench.opened()")}
    figures["pictured_cpu"] = {
        "server": server.event_loop() - before,
        "workers": server.workers() - workers,
        "page": metrics(session)["TaskDuration"],
    }
    figures["clicks"] = [page.evaluate(f"bench.click({at})") for at in ROWS]
    page.evaluate("bench.part('collection')")
    figures["scrolling"] = page.evaluate(f"bench.scroll({SCROLLING})")
    figures["jumps"] = [page.evaluate(f"bench.jump({at})") for at in JUMPS]
    figures["server"] = server.usage()
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    found = metrics(session)
    figures["browser"] = {"heap_mb": found["JSHeapUsedSize"] / 1e6, "nodes": found["Nodes"]}
    context.close()
    return figures


def open_map(browser: Browser, server: Server) -> float:
    """Seconds from the opening of the map on the page to its points."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(path=SCRIPT)
    page = context.new_page()
    page.goto(server.url)
    seconds: float = page.evaluate("bench.map()")
    context.close()
    return seconds


def metrics(session: CDPSession) -> dict[str, float]:
    """What the browser measures of the page: CPU seconds of its main thread, memory, and so on."""
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}


def compute_map(server: Server) -> dict[str, float]:
    """Seconds, CPU seconds and peak own memory of the computation of a map, in the server and its process."""
    started, before, peak = time.perf_counter(), cpu_seconds(server.process), 0.0
    cpu = before
    requests.post(f"{server.url}api/map", timeout=60)

    def watch() -> None:
        nonlocal peak, cpu
        family = (server.process, *server.process.children(recursive=True))
        peak = max(peak, sum(map(own_mb, family)))
        cpu = max(cpu, cpu_seconds(server.process))

    wait_for_map(server, watch)
    return {"seconds": time.perf_counter() - started, "cpu_seconds": cpu - before, "peak_own_mb": peak}


def wait_for_map(server: Server, watch: Callable[[], object] = bool) -> None:
    while (state := requests.get(f"{server.url}api/map", timeout=60).json())["state"] == "computing":
        watch()
        time.sleep(1)
    assert state["state"] == "ready", state


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=WORDS)
        yield browser
        browser.close()


def visited(index: Path, caches: Path, count: int, repeats: int) -> Iterator[dict[str, Any]]:
    """The figures of the visits of one index, again after each visit."""
    shutil.rmtree(caches, ignore_errors=True)
    size = sum(file.stat().st_size for file in index.iterdir() if file.is_file())
    row: dict[str, Any] = {"shapes": count, "index_mb": size / 1e6, "computed": None, "map": None, "visits": []}
    with chromium() as browser:
        with serving(index, caches) as server:
            row["first"] = visit(browser, server)
        for _ in range(repeats):
            with serving(index, caches) as server:
                row["visits"].append(visit(browser, server))
            yield row | {"medians": middle(row["visits"]), "load": os.getloadavg()}


def mapped(index: Path, caches: Path, repeats: int) -> dict[str, Any]:
    """What the computation of the map takes, and how long the map takes to appear when it is kept."""
    with serving(index, caches) as server:
        computed = compute_map(server)
    with serving(index, caches) as server, chromium() as browser:
        wait_for_map(server)
        return {"computed": computed, "map": [open_map(browser, server) for _ in range(repeats)]}


def middle(values: list[Any]) -> Any:
    """The medians of figures: of each value of dictionaries, of each place of lists, over all visits."""
    if isinstance(values[0], dict):
        return {key: middle([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], list):
        return [middle(list(each)) for each in zip(*values, strict=True)]
    return median(values)


def main() -> None:
    options = arguments(__doc__ or "", work="", shapes="10000,100000", repeats=5, note="")
    source = options.data / "psb.zip"
    rows: dict[int, dict[str, Any]] = {}

    def keep() -> None:
        save(options.json, {"repeats": options.repeats, "note": options.note, "rows": [*rows.values()]}, [source])

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.work or scratch)
        folder.mkdir(exist_ok=True)
        counts = [int(count) for count in options.shapes.split(",")]
        for count in counts:
            index = make_index(folder, source, count)
            for row in visited(index, folder / f"caches-{count}", count, options.repeats):
                rows[count] = row
                keep()
        for count in counts:  # last, because they can take hours
            rows[count] |= mapped(folder / f"index-{count}", folder / f"caches-{count}", options.repeats)
            keep()
    lines = [
        [row["shapes"], *(f"{row['medians'][key]:.2f}" for key in ("ready", "page", "first_picture", "pictured"))]
        for row in rows.values()
    ]
    print(table(["shapes", "ready", "page", "first picture", "all pictures in sight"], lines))


if __name__ == "__main__":
    main()
