"""Device that a network runs on: the processor, or an NVIDIA GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from shapecnn.errors import UsageError
from shapecnn.shared.checks import require_choice

Device = Literal["auto", "cpu", "cuda"]


def require_device(device: Device) -> None:
    """Raise UsageError if this machine does not have the device.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: The device is ``cuda``, and torch finds no CUDA device.
    """
    require_choice("device", device, Device)
    if device == "cuda" and not has_cuda():
        raise UsageError("--device cuda: torch finds no CUDA device on this machine. Use --device cpu or auto.")


def runs_on_cuda(device: Device) -> bool:
    """Return whether a device name selects the GPU: ``cuda``, or ``auto`` on a machine with an NVIDIA GPU.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
    """
    return device == "cuda" or (device == "auto" and has_cuda())


def has_cuda() -> bool:
    """Return whether torch can use an NVIDIA GPU; without a driver, return False before the slow import of torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or os.name == "nt"):
        return False
    import torch

    return torch.cuda.is_available()


def cpu_has_bfloat16() -> bool:
    """Return whether the processor has bfloat16 instructions, according to ``/proc/cpuinfo``."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
