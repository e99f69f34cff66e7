"""How good a network is on the shapes that training held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.retrieval.protocols import mvcnn


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the held-out shapes.  mAP: by scores, protocol mvcnn; None where no class has two of them."""

    count: int
    loss: float
    accuracy: float
    mean_class_accuracy: float
    mAP: float | None  # noqa: N815


def figures_of(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> Figures:
    """logits: (N, C) float32.  labels: (N,), of 0 to C − 1."""
    scores = logits.double().softmax(dim=1).float().numpy()
    names = [classes[code] for code in labels.tolist()]
    whole = classify(names, scores, classes)
    loss = functional.cross_entropy(logits, labels).item()
    return Figures(len(names), loss, whole.accuracy, whole.mean_class_accuracy, mvcnn(scores, names).mAP)


def better(figures: dict[str, Any] | None, best: dict[str, Any] | None) -> bool:
    """Whether the accuracy is higher, or the same with a lower loss."""
    if figures is None or best is None:
        return best is None
    return (figures["accuracy"], -figures["loss"]) > (best["accuracy"], -best["loss"])


def told(figures: Figures | None) -> str:
    """Figures as they follow an epoch's loss; nothing without any."""
    if figures is None:
        return ""
    retrieved = f", mAP {figures.mAP:.1%}" if figures.mAP is not None else ""
    return f", validation accuracy {figures.accuracy:.1%}{retrieved}"
