"""Examine this machine: try each renderer and engine, and look for optional packages, weights, folders and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shapecnn.machine.findings import Finding, State
from shapecnn.machine.packages import extras, kept_weights, required_packages
from shapecnn.machine.resources import cores, disk, memory, precisions, program
from shapecnn.machine.trials import Outcome, attempt
from shapecnn.models.device import has_cuda
from shapecnn.workers.progress import Progress, no_progress

_SYSTEM = "on Debian and Ubuntu: sudo apt-get install "
_AGAIN = "install shapecnn again: pip install --force-reinstall shapecnn"


def examine(
    seconds: float = 120, progress: Progress = no_progress, *, try_out: Callable[..., Outcome] = attempt
) -> list[Finding]:
    """Examine this machine.

    Each renderer and engine draws or computes something small in a process of its own. Nothing is downloaded.

    Args:
        seconds: Time limit of each trial.
        progress: Callback that receives the number of finished trials and the number of all trials.
        try_out: Function that runs a trial by its name; see :func:`shapecnn.machine.trials.attempt`.

    Returns:
        The findings, in groups.
    """
    tasks: list[Callable[[], Finding]] = [
        partial(_raster, try_out, seconds),
        partial(_pyrender, try_out, seconds),
        partial(_open3d, try_out, seconds),
        partial(_openvino, try_out, seconds),
        partial(_torch, try_out, seconds),
        partial(_cuda, try_out, seconds),
        *([partial(_mps, try_out, seconds)] if sys.platform == "darwin" else []),
        partial(_tables, try_out, seconds),
        partial(_weights, try_out, seconds),
    ]
    tried: list[Finding] = []
    with ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) // 2))) as threads:
        for finding in threads.map(lambda task: task(), tasks):
            tried.append(finding)
            progress(len(tried), len(tasks))
    return [*program(), *_usable(tried), *precisions(), *required_packages(), *extras(), *cores(), *memory(), *disk()]


def _usable(tried: Sequence[Finding]) -> list[Finding]:
    """Return the findings of the trials, and one more if no engine works: then no network can run."""
    engines = [finding for finding in tried if finding.group == "engine"]
    if any(finding.state == "ok" for finding in engines):
        return [*tried]
    return [*tried, Finding("engine", "any", "broken", "no engine runs a network", _AGAIN)]


def _raster(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("raster", seconds)
    return Finding("renderer", "raster", *_needed(outcome, _AGAIN))


def _pyrender(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    """Try OpenGL by EGL, or as PYOPENGL_PLATFORM says; if that does not work, also by OSMesa."""
    chosen = os.environ.get("PYOPENGL_PLATFORM")
    first = try_out("pyrender", seconds, {"PYOPENGL_PLATFORM": chosen or "egl"})
    if first.ok:
        return Finding("renderer", "pyrender", "ok", first.detail)
    if chosen is None and try_out("pyrender", seconds, {"PYOPENGL_PLATFORM": "osmesa"}).ok:
        return Finding("renderer", "pyrender", "ok", "by OSMesa only", "set PYOPENGL_PLATFORM=osmesa to use it")
    remedy = f"{_SYSTEM}libegl1 libgl1 libgl1-mesa-dri; the renderer raster needs none of this"
    return Finding("renderer", "pyrender", "absent", first.detail, remedy)


def _open3d(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("open3d", seconds)
    remedy = f"{_SYSTEM}libusb-1.0-0 libgl1 libgomp1; the renderer raster needs none of this"
    return Finding("renderer", "open3d", *_optional(outcome, remedy))


def _openvino(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("openvino", seconds)
    return Finding("engine", "openvino", *_optional(outcome, "pip install openvino; without it, torch runs on the CPU"))


def _torch(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("torch-cpu", seconds)
    return Finding(
        "engine", "torch on the CPU", *_needed(outcome, "install torch again (https://pytorch.org): training needs it")
    )


def _cuda(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    if not _has_driver():
        return Finding("engine", "torch on CUDA", "absent", "no NVIDIA GPU, or no driver",
                       "needs an NVIDIA GPU with its driver; a CPU is enough for all commands")  # fmt: skip
    outcome = try_out("torch-cuda", seconds)
    remedy = "install the NVIDIA driver and a torch with CUDA (https://pytorch.org), then check with nvidia-smi"
    return Finding("engine", "torch on CUDA", *_optional(outcome, remedy))


def _has_driver() -> bool:
    try:
        return has_cuda()
    except Exception:  # torch is broken, which its own trial tells
        return False


def _mps(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("torch-mps", seconds)
    detail = f"{outcome.detail}; --device cannot choose it yet" if outcome.ok else outcome.detail
    return Finding("engine", "torch on MPS", "ok" if outcome.ok else "absent", detail)


def _tables(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    outcome = try_out("tables", seconds)
    return Finding("files", "tables", *_needed(outcome, _AGAIN))


def _weights(try_out: Callable[..., Outcome], seconds: float) -> Finding:
    """List the backbones that need no download: those installed as packages, and those in the cache of the hub."""
    installed = kept_weights()
    outcome = try_out("weights", seconds)
    names = ", ".join([*installed, *([outcome.detail] if outcome.ok and outcome.detail else [])])
    if not installed:
        return Finding("weights", "at hand", "broken", names or "none", f"@imagenet needs them: {_AGAIN}")
    remedy = "other backbones are downloaded at first use; see docs/backbones.md"
    return Finding("weights", "at hand", "ok", names, remedy)


def _optional(outcome: Outcome, remedy: str) -> tuple[State, str, str]:
    return ("ok", outcome.detail, "") if outcome.ok else ("absent", outcome.detail, remedy)


def _needed(outcome: Outcome, remedy: str) -> tuple[State, str, str]:
    return ("ok", outcome.detail, "") if outcome.ok else ("broken", outcome.detail, remedy)


def is_sound(findings: Sequence[Finding]) -> bool:
    """Return whether all that shapecnn needs works."""
    return not any(finding.state == "broken" for finding in findings)
