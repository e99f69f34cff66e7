"""Where what is computed once is kept: the user's cache folder, or, where that cannot be written, a temporary one."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


def numba_folder() -> Path | None:
    """Where numba is to keep compiled kernels; None: where it does so by itself.

    It looks beside the package, then in the user's cache folder, and ends the command where neither can be written, as
    for a user without a home and a package that root installed.
    """
    if os.access(Path(__file__).parent, os.W_OK) or _can_be_written(_user_caches()):
        return None
    return private_temporary("numba")


def cache_folder(name: str) -> Path:
    """The folder of shapecnn for one kind of thing that is kept, which may not exist yet.

    Args:
        name: What is kept there, such as "engines".

    Returns:
        ``~/.cache/shapecnn/NAME`` or where else the system has caches; where that cannot be written a folder for
        temporary files that only this user can read and write.
    """
    import platformdirs

    usual = Path(platformdirs.user_cache_dir("shapecnn")) / name
    return usual if _can_be_written(usual) else private_temporary(name)


def private_temporary(name: str) -> Path:
    """A folder among temporary files that belongs to this user alone, the same one each time.

    Compiled code is loaded from such a folder: one that another user has made or may write to is never used.
    """
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    folder = Path(tempfile.gettempdir()) / f"shapecnn-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(folder):
            raise OSError
    except OSError:
        folder = _own_temporary()
    return folder / name


_own: list[Path] = []


def _own_temporary() -> Path:
    """A folder of this process, removed at its end."""
    import atexit
    import shutil
    import tempfile

    if not _own:
        _own.append(Path(tempfile.mkdtemp(prefix="shapecnn-")))
        atexit.register(_remove, _own[0], os.getpid(), shutil.rmtree)
    return _own[0]


def _remove(folder: Path, owner: int, rmtree: object) -> None:
    if os.getpid() == owner and callable(rmtree):  # not a forked worker that ends earlier
        rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)


def _user_caches() -> Path:
    """Where numba keeps what a user compiles, by the rules of the system."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in ``folder``, or it and the folders above it that are not there yet."""
    for place in (folder, *folder.parents):
        if os.path.exists(place):  # which, unlike Path, takes what may not be looked at as not there
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False
