"""Go on with a training, in one of the processes that torchrun starts; all but the first open their arrays late.

torchrun --nproc-per-node 2 tests/training/late.py CONFIG DATA OUT
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from shapecnn.settings.experiment import load_experiment
from tests.training.data import run

load = np.load


def load_late(*args: Any, **options: Any) -> Any:
    time.sleep(3)
    return load(*args, **options)


if __name__ == "__main__":
    config, data, out = sys.argv[1:]
    if os.environ["RANK"] != "0":
        np.load = load_late
    run(load_experiment(config), Path(data), Path(out), resume=True)
