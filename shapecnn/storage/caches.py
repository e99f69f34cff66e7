"""Folders of caches: the user's cache folder or, where that cannot be written, a private temporary folder."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


def numba_folder() -> Path | None:
    """Choose the folder in which numba caches compiled kernels.

    By default numba tries the folder of the package, then the user's cache folder. If it can write to neither, it ends
    the command, such as for a user without a home folder and a package that root installed.

    Returns:
        A private temporary folder, or None if numba's default can be written.
    """
    if os.access(Path(__file__).parent, os.W_OK) or _can_be_written(_user_caches()):
        return None
    return private_temporary("numba")


def cache_folder(name: str) -> Path:
    """Choose the folder of one of shapecnn's caches. It is not made.

    Args:
        name: Name of the cache, such as "engines".

    Returns:
        ``~/.cache/shapecnn/NAME`` or its equivalent on this system; if that cannot be written, a temporary folder that
        only this user can read and write.
    """
    import platformdirs

    usual = Path(platformdirs.user_cache_dir("shapecnn")) / name
    return usual if _can_be_written(usual) else private_temporary(name)


def private_temporary(name: str) -> Path:
    """Choose a temporary folder that only this user can read and write, the same on each call.

    Compiled code is loaded from such folders, so a folder that another user made or can write to is never used. A
    folder for this process alone, removed at its end, takes its place.

    Args:
        name: Name of a subfolder, which is not made.

    Returns:
        The path of the subfolder.
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
    """Return a temporary folder for this process, made on the first call and removed at the end of the process."""
    import atexit
    import shutil
    import tempfile

    if not _process_folders:
        _process_folders.append(Path(tempfile.mkdtemp(prefix="shapecnn-")))
        atexit.register(_remove, _process_folders[0], os.getpid(), shutil.rmtree)
    return _process_folders[0]


def _remove(folder: Path, owner: int, rmtree: object) -> None:
    if os.getpid() == owner and callable(rmtree):  # a forked worker, which ends earlier, must not remove it
        rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)


def _user_caches() -> Path:
    """Return the folder in which numba places a user's cache on this system."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _can_be_written(folder: Path) -> bool:
    """Tell whether files can be created in a folder, after making it and its missing parents."""
    for place in (folder, *folder.parents):
        if os.path.exists(place):  # unlike Path.exists(), False without permission
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False
