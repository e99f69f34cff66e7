"""Filters of the network of a rung, and the places in a sample of its training shapes that excite them most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shapecnn.artefacts.reading import Artefacts
from shapecnn.filters.results import LearnedFilters
from shapecnn.models.device import Device
from shapecnn.models.run import Run
from shapecnn.workers.progress import ProgressBar

FILTERS, PLACES = 4, 3  # filters of each layer, and places of each filter
PICTURES = 200  # views or grids that a network sees at most; more of them if fewer than FEWEST shapes would be left
FEWEST = 12


def rung_filters(run: Run, artefacts: Artefacts, device: Device, bar: ProgressBar) -> LearnedFilters | None:
    """Collect a few filters of a trained network: of its first layer and of its last convolution.

    Exciting places are looked for in training shapes that are drawn at random, with a fixed seed, so that the time is
    limited: to seconds for a small network, and about a quarter of a minute for a deep one.

    Args:
        run: The trained network.
        artefacts: Views or grids that it was trained on.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        bar: Function that opens a progress bar.

    Returns:
        The filters; None if the network has none to show, such as a classifier of an engineered descriptor.
    """
    from shapecnn.filters.learned import learned_filters, shown_layers  # here, because it imports torch

    trained = run.split(artefacts, "train")
    array = run.input.read(artefacts, trained[0])
    names = shown_layers(run, array.shape[1:])
    if not names:
        return None
    count = max(PICTURES // len(array), FEWEST)
    chosen = np.random.default_rng(0).permutation(len(trained))[:count]
    sample = replace(artefacts, entries=tuple(trained[row] for row in sorted(chosen)))
    with bar("Looking for filters", "shapes") as progress:
        learned = learned_filters(
            run,
            sample,
            layers=[names[0], names[-1]],
            split="all",
            filters=FILTERS,
            top=PLACES,
            saliency=False,
            device=device,
            progress=progress,
        )
    return replace(learned, split="train")
