"""``shapecnn doctor``: trials that work, fail, crash, hang and print junk; and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shapecnn.cli import doctor
from shapecnn.machine import examination, packages, trials
from shapecnn.machine.examination import examine
from shapecnn.machine.packages import extras, required_packages, requirements
from shapecnn.machine.resources import disk, memory, precisions
from shapecnn.machine.trials import Outcome, attempt
from tests.cli.conftest import Command

WORKING = Outcome(True, "works")


def outcomes(monkeypatch: pytest.MonkeyPatch, **failing: str) -> None:
    """All trials work but these, whose ``-`` is written ``_``."""

    def try_out(name: str, seconds: float, environment: dict[str, str] | None = None) -> Outcome:
        key = name.replace("-", "_") + ("_osmesa" if (environment or {}).get("PYOPENGL_PLATFORM") == "osmesa" else "")
        return Outcome(False, failing[key]) if key in failing else WORKING

    def examined(seconds: float, progress: Any) -> Any:
        return examine(seconds, progress, try_out=try_out)

    monkeypatch.setattr("shapecnn.machine.examination.examine", examined)
    monkeypatch.setattr("shapecnn.machine.examine", examined, raising=False)
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)


def found(command: Command, status: int = 0) -> dict[str, dict[str, str]]:
    done = command("doctor", "--json")
    assert done.status == status, done.stderr
    answer = done.json("doctor")
    assert answer["good"] == (status == 0)
    return {finding["name"]: finding for finding in answer["findings"]}


def test_all_that_works_is_ok(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch)
    findings = found(command)
    for name in ("raster", "pyrender", "open3d", "openvino", "torch on the CPU", "tables", "required"):
        assert findings[name]["state"] == "ok", name
    assert "tf_efficientnet_lite0" in findings["at hand"]["detail"]
    done = command("doctor")
    assert done.stdout.splitlines()[-1] == "All that shapecnn needs works here."
    assert any(line.split()[:3] == ["ok", "renderer", "raster"] for line in done.stdout.splitlines())


def test_optional_parts_are_absent_with_advice(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, pyrender="no EGL", pyrender_osmesa="no OSMesa", open3d="no libusb", openvino="no module")
    findings = found(command)
    assert (findings["pyrender"]["state"], findings["pyrender"]["detail"]) == ("absent", "no EGL")
    assert "apt-get install libegl1" in findings["pyrender"]["remedy"]
    assert "libusb-1.0-0" in findings["open3d"]["remedy"]
    assert findings["openvino"]["remedy"].startswith("pip install openvino")


def test_osmesa_is_found_where_egl_is_not(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, pyrender="no EGL")
    pyrender = found(command)["pyrender"]
    assert (pyrender["state"], pyrender["detail"]) == ("ok", "by OSMesa only")
    assert "PYOPENGL_PLATFORM=osmesa" in pyrender["remedy"]


@pytest.mark.parametrize("part", ["raster", "torch_cpu", "tables"])
def test_a_needed_part_that_is_broken_gives_status_1(
    part: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes(monkeypatch, **{part: "the process crashed (SIGSEGV)"})
    broken = [finding for finding in found(command, status=1).values() if finding["state"] == "broken"]
    assert [finding["detail"] for finding in broken] == ["the process crashed (SIGSEGV)"]
    assert broken[0]["remedy"]
    assert command("doctor").stdout.splitlines()[-1].startswith("shapecnn needs these to work: ")


def test_the_raster_is_really_tried() -> None:
    outcome = attempt("raster", 300)
    assert outcome.ok, outcome.detail
    assert "numba" in outcome.detail


def test_torch_is_really_tried() -> None:
    outcome = attempt("torch-cpu", 300)
    assert outcome.ok, outcome.detail
    assert outcome.detail.startswith("torch ")


def test_openvino_is_really_tried() -> None:
    pytest.importorskip("openvino")
    outcome = attempt("openvino", 300)
    assert outcome.ok, outcome.detail
    assert outcome.detail.startswith("openvino ")


CHILD = """
import ctypes, os, sys, time
from shapecnn.machine import trials

def crash(): ctypes.string_at(0)
def hang(): time.sleep(600)
def leave(): os._exit(3)
def junk():
    os.write(1, b"shapecnn trial: not json\\n")
    return "fine"
def raises(): raise ValueError("two\\nlines")

trials.TRIALS.update(crash=crash, hang=hang, leave=leave, junk=junk, raises=raises)
trials.main(sys.argv[-1])
"""


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials run a script that knows some more of them."""
    (script := tmp_path / "child.py").write_text(CHILD)
    run = trials.subprocess.run

    def start(command: list[str], **options: Any) -> Any:
        return run([command[0], "-P", str(script), command[-1]], **options)

    monkeypatch.setattr(trials.subprocess, "run", start)


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("crash", (False, "the process crashed (SIGSEGV)")),
        ("leave", (False, "the process ended with status 3 (no message)")),
        ("junk", (True, "fine")),
        ("raises", (False, "ValueError: two lines")),
    ],
)
def test_no_trial_brings_the_examination_down(name: str, outcome: tuple[bool, str]) -> None:
    assert tuple(attempt(name, 300)) == outcome


@pytest.mark.usefixtures("children")
def test_a_trial_that_hangs_is_ended() -> None:
    assert attempt("hang", 2) == Outcome(False, "no answer within 2 s")


@pytest.mark.parametrize(
    ("flags", "shown", "reduced"),
    [
        ("fpu avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8", "AVX2, AVX-512, VNNI, bfloat16, AMX", "ok"),
        ("fpu avx2", "AVX2", "absent"),
        ("fpu", "no vector extension that is known here", "absent"),
    ],
)
def test_precisions_are_those_of_the_processor(flags: str, shown: str, reduced: str, tmp_path: Path) -> None:
    (file := tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: {flags}\n")
    full, half = precisions(file)
    assert full.detail.startswith(shown)
    assert half.state == reduced
    assert precisions(tmp_path / "none")[0].state == "ok"


def test_memory_is_read_and_little_is_told(tmp_path: Path) -> None:
    (file := tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\nMemAvailable:    1000000 kB\n")
    (finding,) = memory(file)
    assert (finding.state, finding.detail) == ("absent", "1.0 of 16.4 GB free")
    assert memory(tmp_path / "none") == []


def test_the_cache_is_measured(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.bin").write_bytes(bytes(3_000_000))
    cache, here = disk(tmp_path / "cache")
    assert f"{tmp_path / 'cache'}, 3 MB used" in cache.detail
    assert str(Path.cwd()) in here.detail


def test_packages_come_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "click>=8.1",
        'openvino>=2024.4; platform_machine == "x86_64"',
        "no-such-package>=1",
        'meshoptimizer>=0.2; extra == "meshopt"',
        "other-missing; extra == 'web'",
        'mypy; extra == "dev"',
    ]
    monkeypatch.setattr(packages.metadata, "requires", lambda _: lines)
    versions = {"click": "8.5", "meshoptimizer": "0.2.30"}
    monkeypatch.setattr(packages, "version_of", versions.get)
    assert [each.name for each in requirements()] == [
        "click", "openvino", "no-such-package", "meshoptimizer", "other-missing"
    ]  # fmt: skip
    (needed,) = required_packages()
    assert (needed.state, needed.remedy) == ("broken", "pip install no-such-package")
    meshopt, web = extras()
    assert (meshopt.state, meshopt.detail) == (
        "ok",
        "meshoptimizer 0.2.30, for glTF files that are compressed with meshopt",
    )
    assert (web.state, web.remedy) == ("absent", "pip install 'shapecnn[web]'")


def test_cuda_is_not_tried_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "has_cuda", lambda: False)
    tried: list[str] = []

    def try_out(name: str, *_: Any) -> Outcome:
        tried.append(name)
        return WORKING

    findings = {finding.name: finding for finding in examine(try_out=try_out)}
    assert "torch-cuda" not in tried
    assert findings["torch on CUDA"].state == "absent"
    monkeypatch.setattr(examination, "has_cuda", lambda: True)
    findings = {finding.name: finding for finding in examine(try_out=try_out)}
    assert "torch-cuda" in tried
    assert findings["torch on CUDA"].state == "ok"


def test_the_command_shows_every_state() -> None:
    assert {*doctor._SHOWN} == {"ok", "absent", "broken"}
