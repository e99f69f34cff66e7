"""Look at the processor, the memory, the disk and the cache of this machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from shapecnn import __version__
from shapecnn.machine.findings import Finding
from shapecnn.storage.caches import cache_folder
from shapecnn.workers.pool import available_cores

_LITTLE_MEMORY = 2e9  # bytes for a worker and a network
_LITTLE_DISK = 1e9  # bytes for converted networks and the state of a training

_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "bfloat16",
    "amx_bf16": "AMX bfloat16",
    "amx_int8": "AMX int8",
}
_REDUCED = ("avx512_bf16", "amx_bf16")


def program() -> list[Finding]:
    """Tell the versions of shapecnn, Python and the system."""
    python = platform.python_version()
    return [
        Finding("program", "shapecnn", "ok", f"{__version__}, in {Path(__file__).resolve().parent.parent}"),
        Finding("program", "Python", "ok", f"{python}, {platform.system()} {platform.machine()}"),
    ]


def precisions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[Finding]:
    """Tell which fast number formats the processor has.

    Args:
        cpuinfo: File with the features of the processor, which Linux has.
    """
    try:
        text = cpuinfo.read_text()
    except OSError:
        return [Finding("precision", "float32", "ok", "the features of the processor are not known on this system")]
    flags = set(" ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)).split())
    known = [title for flag, title in _FEATURES.items() if flag in flags]
    findings = [Finding("precision", "float32", "ok", ", ".join(known) or "no vector extension that is known here")]
    if flags & {*_REDUCED, "bf16"}:
        unit = "AMX" if "amx_bf16" in flags else "vector instructions"
        findings.append(Finding("precision", "bfloat16", "ok", f"{unit} of the processor: about twice as fast"))
    else:
        remedy = "needs a processor with AVX-512 BF16 or AMX, or a GPU; float32 gives the same results, more slowly"
        findings.append(Finding("precision", "bfloat16", "absent", "the processor has no bfloat16", remedy))
    return findings


def cores() -> list[Finding]:
    """Tell the number of processor cores that this process may use."""
    return [Finding("machine", "cores", "ok", f"{available_cores()} of {os.cpu_count()}")]


def memory(meminfo: Path = Path("/proc/meminfo")) -> list[Finding]:
    """Tell how much memory there is, and how much is free.

    Args:
        meminfo: File with the sizes, which Linux has.
    """
    try:
        sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE))
        total, free = (1024 * int(sizes[key]) for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError):
        return []
    detail = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < _LITTLE_MEMORY:
        return [Finding("machine", "memory", "absent", detail, "close other programs, or use fewer --workers")]
    return [Finding("machine", "memory", "ok", detail)]


def disk(place: Path | None = None) -> list[Finding]:
    """Tell where converted networks are stored, and how much space is free there and in the current folder.

    Args:
        place: Folder in place of the cache, for tests.
    """
    folder = place or cache_folder("engines")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    findings = []
    for name, at, detail in (
        ("cache", existing, f"{folder}, {kept / 1e6:.0f} MB used"),
        ("current folder", Path.cwd(), str(Path.cwd())),
    ):
        free = shutil.disk_usage(at).free
        text = f"{detail}, {free / 1e9:.1f} GB free"
        if not os.access(at, os.W_OK):
            findings.append(Finding("disk", name, "absent", f"{text}, not writable", "choose a folder that is yours"))
        elif free < _LITTLE_DISK:
            findings.append(Finding("disk", name, "absent", text, "free some space: a training needs up to 6 GB"))
        else:
            findings.append(Finding("disk", name, "ok", text))
    return findings
