"""Run a tiny network with each inference engine, and compare its result with a known one.

Only this module and the engines themselves import torch and OpenVINO. Its functions run in processes of their own
(:mod:`shapecnn.machine.trials`).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

_INPUT = np.arange(-8, 8, dtype=np.float32).reshape(2, 8) / 4
_WEIGHTS = np.arange(24, dtype=np.float32).reshape(8, 3) / 16 - 0.75
_RESULT = np.maximum(_INPUT @ _WEIGHTS, 0)  # of the network: a matrix product, then ReLU


def run_openvino() -> str:
    """Run the tiny network with OpenVINO on the processor, in the precision that shapecnn chooses.

    Returns:
        Version of OpenVINO, and the precision.

    Raises:
        ValueError: The result is wrong.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report the import
    import openvino
    from openvino import opset8

    core = openvino.Core()
    data = opset8.parameter([2, 8], np.float32)
    network = openvino.Model([opset8.relu(opset8.matmul(data, _WEIGHTS, False, False))], [data])
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    reduced = "BF16" in capabilities
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if reduced else "f32"})
    _require(compiled([_INPUT])[0], reduced)
    return f"openvino {openvino.__version__.split('-')[0]}, {'bfloat16' if reduced else 'float32'}"


def run_torch(device: str) -> str:
    """Run the tiny network with torch, forward and backward.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        Version of torch; for a GPU also its name, its memory, its compute capability and whether it has bfloat16.

    Raises:
        ValueError: The result is wrong.
        RuntimeError: torch cannot use the device.
    """
    import torch

    weights = torch.tensor(_WEIGHTS, device=device, requires_grad=True)
    result = torch.relu(torch.tensor(_INPUT, device=device) @ weights)
    result.sum().backward()  # type: ignore[no-untyped-call]
    _require(result.detach().cpu().numpy(), False)
    slope = (_RESULT > 0).astype(np.float32)
    _require(weights.grad.cpu().numpy(), False, _INPUT.T @ slope)  # type: ignore[union-attr]
    if device != "cuda":
        return f"torch {torch.__version__}"
    major, minor = torch.cuda.get_device_capability()
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    reduced = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16"
    name = torch.cuda.get_device_name()
    return f"torch {torch.__version__}, {name}, {memory:.0f} GB, compute capability {major}.{minor}, {reduced}"


def _require(result: Any, reduced: bool, expected: Any = _RESULT) -> None:
    error = float(np.abs(np.asarray(result) - expected).max())
    if not error < (0.05 if reduced else 1e-4):
        raise ValueError(f"a tiny network gives a wrong result, off by {error:.3g}")
