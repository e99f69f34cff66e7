"""numba's door: it reads nothing in the current folder, and keeps compiled kernels where that can be written.

Kernels are written as ``from shapecnn.jit import numba`` and ``@numba.njit(cache=True)``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from shapecnn.storage.caches import numba_folder

_CONFIG = ".numba_config.yaml"
"""What numba reads in the current folder, which may be anybody's: it can name a folder to load compiled code from."""


def _import() -> Any:
    """numba, with the cache folder set and the current folder's file left alone."""
    if "numba" not in sys.modules and "NUMBA_CACHE_DIR" not in os.environ and (folder := numba_folder()) is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)  # for workers, too
    exists = os.path.exists
    os.path.exists = lambda path: path != _CONFIG and exists(path)
    try:
        import numba
        from numba.core import config
    finally:
        os.path.exists = exists
    config._config_fname = os.devnull  # which is looked for at every compilation
    return numba


numba = _import()
