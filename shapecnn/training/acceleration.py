"""Where and in which precision a training computes: the door of Accelerate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from shapecnn.errors import MissingLibraryError
from shapecnn.models.engine import Device, cpu_has_bfloat16, runs_on_cuda

if TYPE_CHECKING:
    from accelerate import Accelerator


def open_accelerator(device: Device, precision: str, logs: Path | None) -> Accelerator:
    """Where and in which precision to train.  logs: where TensorBoard's go, if they are asked for.

    Raises MissingLibraryError if TensorBoard is absent then.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import is_tensorboard_available

    if logs is not None and not is_tensorboard_available():
        raise MissingLibraryError("--tensorboard needs the package tensorboard: pip install 'shapecnn[tensorboard]'")
    AcceleratorState._reset_state(reset_partial_state=True)  # another training in this process may have had another
    cuda = runs_on_cuda(device)
    reduced = "no"
    if precision == "auto":
        if cuda:
            reduced = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        elif cpu_has_bfloat16():
            reduced = "bf16"
    accelerator = Accelerator(
        cpu=not cuda,
        mixed_precision=reduced,
        log_with="tensorboard" if logs is not None else None,
        project_dir=str(logs) if logs is not None else None,
    )
    if logs is not None:
        accelerator.init_trackers("tensorboard")
    return accelerator
