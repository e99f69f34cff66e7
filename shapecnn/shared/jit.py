"""Import numba safely: it reads no file in the current folder, and it caches compiled kernels in a writable folder.

Kernels use ``from shapecnn.shared.jit import numba`` and ``@numba.njit(cache=True)``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from shapecnn.storage.caches import numba_folder

_CONFIG = ".numba_config.yaml"
"""File that numba reads in the current folder. Anybody may have put it there, and it can name a folder from which numba
loads compiled code."""


def _import() -> Any:
    """Import numba with its cache folder set, and keep it from reading the file in the current folder."""
    if "numba" not in sys.modules and "NUMBA_CACHE_DIR" not in os.environ and (folder := numba_folder()) is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)  # worker processes inherit it
    exists = os.path.exists
    os.path.exists = lambda path: path != _CONFIG and exists(path)
    try:
        import numba
        from numba.core import config
    finally:
        os.path.exists = exists
    config._config_fname = os.devnull  # numba looks for this file at every compilation
    return numba


numba = _import()
