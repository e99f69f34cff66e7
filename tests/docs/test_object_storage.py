"""The example of docs/object-storage.md runs as it stands, on another bucket; its numbers are the code's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from shapecnn.storage.objects import cache, snapshot, store
from shapecnn.storage.objects.url import SCHEMES, Url
from tests.conftest import ROOT
from tests.solids import write_box
from tests.stores import put_folder

TEXT = (ROOT / "docs" / "object-storage.md").read_text()
EXAMPLE = "".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def test_the_example(bucket: Url, tmp_path: Path, engine: object) -> None:
    for number in range(3):
        write_box(tmp_path / "meshes" / ("lamp" if number else "box") / f"{number}.off", 1, 1, 1 + number)
    put_folder(tmp_path / "meshes", bucket / "meshes")
    python = f"{shlex.quote(sys.executable)} -P -m shapecnn"
    script = EXAMPLE.replace("shapecnn ", f"{python} ").replace("s3://my-data", str(bucket))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{bucket}/meshes/lamp/1.off" in done.stdout
    assert f"{bucket}/views: artefacts, 5 files, good" in done.stdout


def test_the_numbers_are_those_of_the_code() -> None:
    assert [f"`{scheme}://" in TEXT for scheme in SCHEMES] == [True] * len(SCHEMES)
    assert f"at most {cache.LIMIT >> 30} GB" in TEXT
    assert f"up to {snapshot.BLOCK >> 20} MB at once" in TEXT
    assert f"up to {store._RETRIES} times" in TEXT
    assert f"up to {store._TRIES} times" in TEXT
