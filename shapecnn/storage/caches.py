"""Choose folders for caches of compiled code and converted networks.

A cache is in the user's cache folder, or in a private temporary folder if the user's cache folder is not writable.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


def numba_folder() -> Path | None:
    """Return a folder for the kernels that numba compiles, or None if numba's default cache folder is writable.

    By default, numba tries the folder of the package, then the user's cache folder. If neither is writable, numba
    raises an error. This happens, for example, if root installed the package and the user has no home folder.

    Returns:
        A private temporary folder, or None.
    """
    if os.access(Path(__file__).parent, os.W_OK) or _can_be_written(_user_caches()):
        return None
    return private_temporary("numba")


def cache_folder(name: str) -> Path:
    """Return the path of one of shapecnn's cache folders, without creating the folder.

    Args:
        name: Name of the cache, such as "engines".

    Returns:
        ``~/.cache/shapecnn/NAME`` or its equivalent on this system. If this path is not writable, a temporary folder
        that only this user can read and write.
    """
    import platformdirs

    usual = Path(platformdirs.user_cache_dir("shapecnn")) / name
    return usual if _can_be_written(usual) else private_temporary(name)


def private_temporary(name: str) -> Path:
    """Return the path of a temporary folder that only this user can read and write; each call returns the same path.

    Caches hold compiled code, so a folder that belongs to another user or that others can access is never used. If
    the folder ``shapecnn-UID`` in the temporary folder is one of these, or cannot be created, a folder for this process
    only is created, and removed when the process ends.

    Args:
        name: Name of a subfolder. The subfolder is not created.

    Returns:
        The path of the subfolder inside the private temporary folder.
    """
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    folder = Path(tempfile.gettempdir()) / f"shapecnn-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(folder):
            raise OSError
    except OSError:
        folder = _process_folder()
    return folder / name


_process_folders: list[Path] = []


def _process_folder() -> Path:
    """Return a temporary folder for this process, created on the first call and removed when the process ends."""
    import atexit
    import shutil
    import tempfile

    if not _process_folders:
        _process_folders.append(Path(tempfile.mkdtemp(prefix="shapecnn-")))
        atexit.register(_remove, _process_folders[0], os.getpid(), shutil.rmtree)
    return _process_folders[0]


def _remove(folder: Path, owner: int, rmtree: object) -> None:
    if os.getpid() == owner and callable(rmtree):  # forked workers end earlier and must not remove it
        rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)


def _user_caches() -> Path:
    """Return the parent folder of the cache that numba creates for the current user on this operating system."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _can_be_written(folder: Path) -> bool:
    """Tell whether files can be created in a folder, or whether a missing folder can be created."""
    for place in (folder, *folder.parents):
        if os.path.exists(place):  # unlike Path.exists(), False without permission
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False
