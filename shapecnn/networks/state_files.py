"""Load the weights of an image network from a file."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch
from torch import nn

from shapecnn.errors import UsageError, WeightsError


def load_weights(network: nn.Module, name: str, weights: str) -> None:
    """Load weights from a file into a network without classifier.

    Args:
        network: Network of timm or torchvision, whose weights are replaced.
        name: Name of the network for messages.
        weights: Path of a state dict (.safetensors, .pt or .pth). Tensors that the network does not have, such as those
            of a classifier, are left out.

    Raises:
        UsageError: The file does not exist.
        WeightsError: The file cannot be read, or does not hold the weights of this network.
    """
    from safetensors.torch import load_file

    if not Path(weights).is_file():
        raise UsageError(
            f"weights: {weights!r} is neither imagenet nor none, and no such file exists. Use a file with a state dict."
        )
    try:
        if weights.endswith(".safetensors"):
            state = load_file(weights)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.load(weights, weights_only=True, map_location="cpu")
        state = state.get("state_dict", state)
        own = network.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    except Exception as error:  # an arbitrary file can raise any error
        unsafe = isinstance(error, pickle.UnpicklingError)  # the message of torch advises to trust the file
        reason = "the file is not a state dict, or contains more than tensors" if unsafe else type(error).__name__
        raise WeightsError(
            f"The weights in {weights} cannot be read ({reason}). Use a file with a state dict of {name}."
        ) from None
    missing = [key for key in own if key not in fitting]
    if missing:
        raise WeightsError(
            f"{weights} does not hold the weights of {name}: {len(missing)} of {len(own)} tensors are missing or have "
            f"another shape, such as {missing[0]}. Use a state dict of {name}."
        )
    network.load_state_dict(fitting)
