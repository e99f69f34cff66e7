from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapecnn
from shapecnn.storage import caches
from shapecnn.storage.caches import cache_folder, private_temporary
from tests.solids import write_box

NOBODY = 65534
SITE = os.pathsep.join(entry for entry in sys.path if entry.endswith("site-packages"))


def interpreter() -> str:
    """A Python of this version that another user may run, as root's own may lie where nobody else may look."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(found).exists() and _runs_as_nobody(found):
            return found
    pytest.skip(f"no {version} that user {NOBODY} may run")


def _runs_as_nobody(program: str) -> bool:
    try:
        return subprocess.run([program, "-c", "import json"], user=NOBODY, cwd="/", check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that others may look into, with a copy of the package, a mesh, and a folder of the user nobody.

    Kernels that one test compiles serve the next.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder, source = Path(name), Path(shapecnn.__file__).parent
        folder.chmod(0o755)
        shutil.copytree(source, folder / "site" / "shapecnn", ignore=shutil.ignore_patterns("__pycache__"))
        write_box(folder / "meshes" / "a.off")
        (folder / "own").mkdir()
        if os.getuid() == 0:
            os.chown(folder / "own", NOBODY, NOBODY)
        yield folder


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("home", ["not there", "closed"])
def test_a_user_without_a_home_and_a_package_that_is_read_only(home: str, public: Path) -> None:
    program, site, own = interpreter(), public / "site", public / "own"
    if home == "closed":  # as that of root, which HOME still names for another user of a container
        (public / home).mkdir(mode=0o700)
    environment = {"PATH": os.environ["PATH"], "HOME": str(public / home), "TMPDIR": str(own)}
    environment["PYTHONPATH"] = os.pathsep.join([str(site), SITE])
    words = ["-P", "-m", "shapecnn", "voxelize", public / "meshes", own / home, "--workers", "1", "--quiet"]
    done = subprocess.run(
        [program, *words],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (own / home / "a.binvox").exists()
    kept = own / f"shapecnn-{NOBODY}"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert list(kept.glob("numba/**/*.nbc"))  # what was compiled is there for the next command


def test_the_users_own_cache_is_used_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "yet"))
    assert cache_folder("engines") == tmp_path / "not" / "yet" / "shapecnn" / "engines"
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder("engines") == tmp_path / f"shapecnn-{os.getuid()}" / "engines"


@pytest.mark.parametrize("trap", ["link", "open to others", "another user's", "file"])
def test_a_folder_that_another_user_may_have_made_is_never_used(
    trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(caches, "_process_folders", [])
    folder = tmp_path / f"shapecnn-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if trap == "link":
        folder.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        folder.write_bytes(b"")
    else:
        folder.mkdir(mode=0o700)
        if trap == "another user's":
            os.chown(folder, NOBODY, NOBODY)
        else:
            folder.chmod(0o777)
    used = private_temporary("numba").parent
    assert used != folder
    assert used.stat().st_mode & 0o777 == 0o700
    assert private_temporary("engines").parent == used
