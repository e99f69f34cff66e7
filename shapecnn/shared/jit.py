"""Import numba safely: without its config file in the current folder, and with a writable cache of compiled kernels.

Modules with compiled kernels use ``from shapecnn.shared.jit import numba`` and ``@numba.njit(cache=True)``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from shapecnn.storage.caches import numba_folder

_CONFIG = ".numba_config.yaml"
"""Config file that numba reads from the current folder. It is a security risk: another user may have created
the file, and it can name a folder from which numba loads compiled code."""


def _import() -> Any:
    """Import numba with its cache folder set, and keep numba from reading its config file in the current folder."""
    if "numba" not in sys.modules and "NUMBA_CACHE_DIR" not in os.environ and (folder := numba_folder()) is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)  # worker processes inherit the variable
    exists = os.path.exists
    os.path.exists = lambda path: path != _CONFIG and exists(path)
    try:
        import numba
        from numba.core import config
    finally:
        os.path.exists = exists
    config._config_fname = os.devnull  # numba looks for its config file at every compilation
    return numba


numba = _import()
