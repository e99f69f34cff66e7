"""Set up the library Accelerate, which provides device, mixed precision and multiple processes for training."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from shapecnn.errors import MissingLibraryError, UsageError, counted
from shapecnn.models.device import Device, cpu_has_bfloat16, runs_on_cuda
from shapecnn.workers.launch import local_process_count, process_count
from shapecnn.workers.pool import available_cores

if TYPE_CHECKING:
    from accelerate import Accelerator

_PATIENCE = timedelta(hours=6)
"""How long processes wait for each other: longer than the first may compute alone, for example fit a classifier.

If a process dies, its connections close at once, but not if its machine or the network fails; nor if it only hangs."""


def open_accelerator(device: Device, precision: str, logs: Path | None) -> Accelerator:
    """Create the Accelerate object for a training, with device, mixed precision and loggers set up.

    With several processes on one machine, torch computes with an equal share of its cores in each. torchrun and
    accelerate launch set ``OMP_NUM_THREADS`` to 1 unless it is set; any other number is kept.

    Args:
        device: Device on which the network computes.
        precision: ``float32``, or ``auto`` for 16-bit floats if the device supports them.
        logs: Folder for TensorBoard logs; None for no logs.

    Returns:
        The accelerator.

    Raises:
        MissingLibraryError: ``logs`` is a folder, but TensorBoard is not installed.
        UsageError: More processes were started on this machine than it has GPUs.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs, is_tensorboard_available

    if logs is not None and not is_tensorboard_available():
        raise MissingLibraryError("--tensorboard needs the package tensorboard: pip install 'shapecnn[tensorboard]'")
    AcceleratorState._reset_state(
        reset_partial_state=True
    )  # an earlier training in this process may have set other values
    cuda = runs_on_cuda(device)
    if cuda and (started := local_process_count()) > (gpus := torch.cuda.device_count()):
        raise UsageError(
            f"{started} processes were started on this machine, which has {counted(gpus, 'GPU')}, but each needs a GPU "
            f"of its own. Start one for each GPU (torchrun --nproc-per-node {gpus}), or use --device cpu."
        )
    mixed_precision = "no"
    if precision == "auto":
        if cuda:
            mixed_precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        elif cpu_has_bfloat16():
            mixed_precision = "bf16"
    if process_count() > 1:
        warnings.filterwarnings("ignore", "Grad strides")  # in their memory layout gradients are copied once: no matter
        if os.environ.get("OMP_NUM_THREADS", "1") == "1":
            torch.set_num_threads(available_cores())
    accelerator = Accelerator(
        cpu=not cuda,
        mixed_precision=mixed_precision,
        log_with="tensorboard" if logs is not None else None,
        project_dir=str(logs) if logs is not None else None,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    if logs is not None:
        accelerator.init_trackers("tensorboard")
    return accelerator
