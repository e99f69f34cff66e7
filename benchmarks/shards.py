"""A large collection in shards: voxelized, indexed, killed in the middle, continued, merged, verified and searched.

    python benchmarks/shards.py --work /tmp/shards --meshes 100000 --shards 10 --json results/shards.json

The meshes are those of ``shapecnn demo``, generated with other seeds, in a zip. One shard after another runs as a job
of its own. The job of the middle shard is killed (SIGKILL, with its workers) when half of its meshes are done, and
started again; at its end, an index says that it has added all its meshes, and views and grids count those that were
written before as unchanged. Then the shards are merged, the result is verified, and the job of one shard runs again
although nothing has changed. The index is made by a small network on grids, whose closed form is trained on 300 of the
shapes; a search gives held-out meshes, and the row says for how many the first result has their class.

``cpu_ms`` is the time of all processes of a step for each mesh, which other programs on the machine change little.
``memory_mb`` is what the processes of a step hold between them, without code: the highest value of all jobs, and
those of the first and the last fifth of the job that did most meshes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from measure import arguments, save, table, use_cores
from soak import TRAINED_ON, lines_of, train, usage, write_meshes

from shapecnn.sources.shapes import CLASSES, make_shape, write_off
from shapecnn.storage.unfinished import WORK

QUERIES = 300
GRIDS: list[str | Path] = ["--resolution", "22", "--padding", "1"]  # as the network of soak.py sees them


@dataclass
class Step:
    """What a step took, over all of its jobs.

    memory: (finished meshes, bytes), of the job that did most meshes.
    """

    name: str
    meshes: int
    jobs: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)

    def run(self, words: list[str | Path], out: Path | None = None, kill_at: int | None = None) -> Any:
        """The answer of one command; None if it was killed after ``kill_at`` meshes."""
        command = [sys.executable, "-m", "shapecnn", *map(str, words), "--json"]
        started, used = time.perf_counter(), dict[psutil.Process, float]()
        done = lines_of((out or Path("/")) / WORK / "journal.jsonl")
        memory: list[tuple[int, int]] = []
        with (
            tempfile.TemporaryFile() as stdout,
            subprocess.Popen(command, stdout=stdout, start_new_session=True) as process,
        ):
            root = psutil.Process(process.pid)
            while process.poll() is None:
                tree = [root, *root.children(recursive=True)]
                memory.append((next(done), sum(usage(each)[0] for each in tree)))
                for each in tree:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        used[each] = sum(each.cpu_times()[:2])
                if kill_at is not None and memory[-1][0] >= kill_at:
                    os.killpg(process.pid, signal.SIGKILL)
                time.sleep(0.25)
            stdout.seek(0)
            answer = json.loads(stdout.read() or b"null")
        self.jobs += 1
        self.seconds += time.perf_counter() - started
        self.cpu += sum(used.values())
        self.peak = max(self.peak, *(each for _, each in memory))
        if memory[-1][0] >= (self.memory[-1][0] if self.memory else 0):
            self.memory = memory
        if kill_at is None and process.returncode:
            sys.exit(f"{self.name} ended with status {process.returncode}: {answer}")
        return answer

    def row(self) -> dict[str, Any]:
        """Its figures."""
        steady = [each for each in self.memory if each[0]]
        most = steady[-1][0] if steady else 0
        first = [size for count, size in steady if most / 10 <= count < most / 5]
        last = [size for count, size in steady if 4 * most / 5 <= count < most]
        return {
            "step": self.name,
            "meshes": self.meshes,
            "jobs": self.jobs,
            "seconds": round(self.seconds, 1),
            "meshes_per_second": round(self.meshes / self.seconds, 1),
            "cpu_ms": round(1000 * self.cpu / self.meshes, 2),
            "peak_mb": round(self.peak / 1e6),
            "memory_mb": [round(max(part) / 1e6) for part in (first, last) if part],
        }


def in_shards(command: str, words: list[str | Path], parts: Path, step: Step, shards: int) -> dict[str, Any]:
    """Run a command on all shards, the middle one twice; say what the second job found done."""
    middle, continued = (shards + 1) // 2, {}
    half = step.meshes // shards // 2
    for number in range(1, shards + 1):
        out = parts / str(number)
        job = [command, words[0], out, *words[1:], "--shard", f"{number}/{shards}"]
        if number == middle:
            step.run(job, out, kill_at=half)
            done = next(lines_of(out / WORK / "journal.jsonl"))
            answer = step.run(job, out)
            continued = {"done_when_killed": done, "said_at_the_end": answer.get("written", answer.get("added"))}
        else:
            step.run(job, out)
    return continued


def main() -> None:
    options = arguments(__doc__ or "", work="", meshes=100_000, shards=10)
    use_cores(2)
    count, shards = options.meshes, options.shards
    steps: list[Step] = []
    found: dict[str, Any] = {}

    def step(name: str, meshes: int = count) -> Step:
        if steps:
            print(steps[-1].row(), flush=True)
        steps.append(Step(name, meshes))
        return steps[-1]

    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        shutil.rmtree(work / "made", ignore_errors=True)
        made = work / "made"
        made.mkdir(parents=True)
        collection = made / "meshes.zip"
        write_meshes(collection, 0, TRAINED_ON)
        model = train(made, collection, "grids")
        write_meshes(collection, TRAINED_ON, count)
        queries = [made / f"{CLASSES[number % len(CLASSES)]}-{number}.off" for number in range(count, count + QUERIES)]
        for number, query in enumerate(queries, count):
            query.write_bytes(write_off(make_shape(CLASSES[number % len(CLASSES)], number // len(CLASSES))))

        ways: list[tuple[str, list[str | Path]]] = [("voxelize", GRIDS), ("index", ["--model", model])]
        for command, flags in ways:
            words, parts, whole = [collection, *flags], made / f"{command}-parts", made / command
            continued = in_shards(command, words, parts, step(command), shards)
            merging = step(f"merge of {command}")
            merging.run(["merge", *(parts / str(number + 1) for number in range(shards)), whole])
            again = step(f"{command}, one shard again, unchanged", count // shards)
            again.run([command, collection, parts / "1", *flags, "--shard", f"1/{shards}"])
            verified = step(f"verify of {command}").run(["verify", whole])
            found[command] = {"continued": continued, "verified": verified["good"]}
            shutil.rmtree(parts)
        index = made / "index"
        size = sum(file.stat().st_size for file in index.iterdir())
        answers = step("query", QUERIES).run(["query", index, *queries, "--model", model])
        print(steps[-1].row(), flush=True)
        right = [answer["results"][0]["label"] == Path(answer["query"]).stem.rpartition("-")[0] for answer in answers]
        found["index"] |= {
            "shapes": count,
            "bytes_a_shape": size / count,
            "first_result_of_its_class": sum(right) / QUERIES,
        }
        shutil.rmtree(made)
    rows = [each.row() for each in steps]
    print(table(list(rows[0]), [list(row.values()) for row in rows]), found, sep="\n")
    save(options.json, {"meshes": count, "shards": shards, "rows": rows, "found": found}, [])


if __name__ == "__main__":
    main()
