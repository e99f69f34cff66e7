"""Train as a config says, in one of the processes that torchrun starts, until the second epoch of stage ``all``.

torchrun --nproc-per-node 2 tests/training/interrupted.py CONFIG DATA OUT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from shapecnn.settings.experiment import load_experiment
from tests.training.data import Interrupted, Witness, run

if __name__ == "__main__":
    config, data, out = sys.argv[1:]
    try:
        run(
            load_experiment(config), Path(data), Path(out), Witness(lambda said: said[-1].startswith("all, epoch 1 of"))
        )
    except Interrupted:
        print("Interrupted", file=sys.stderr, flush=True)
        os._exit(1)
