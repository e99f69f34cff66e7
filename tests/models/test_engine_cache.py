from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from shapecnn.models import engine_cache


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "shapecnn" / "engines"


PACKAGE = Path(engine_cache.__file__).parents[1]


def test_what_is_stored_is_loaded_and_what_is_damaged_is_not(cache: Path) -> None:
    name = engine_cache.key("a network")
    assert engine_cache.load(name) is None
    engine_cache.store(name, b"<xml/>", b"\0weights\0")
    assert engine_cache.load(name) == (b"<xml/>", b"\0weights\0")
    content = (cache / name).read_bytes()
    (cache / name).write_bytes(content[:-1] + b"x")
    assert engine_cache.load(name) is None


def test_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    name = engine_cache.key("a network")
    engine_cache.store(name, b"<xml/>", b"weights")
    (cache / name).rename(tmp_path / "elsewhere")
    (cache / name).symlink_to(tmp_path / "elsewhere")
    assert engine_cache.load(name) is None


def test_an_edited_network_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_cache.key("a", "b")
    assert engine_cache.key("a", "b") == before != engine_cache.key("a", "c")
    monkeypatch.setattr(engine_cache, "_code", lambda: "edited")
    assert engine_cache.key("a", "b") != before
    monkeypatch.undo()
    monkeypatch.setattr(engine_cache.metadata, "version", lambda _package: "99")
    assert engine_cache.key("a", "b") != before


def test_the_code_of_every_network_enters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_cache._code()
    package = tmp_path / "package"
    for name in ("networks", "models"):
        shutil.copytree(PACKAGE / name, package / name)
    monkeypatch.setattr(engine_cache, "__file__", str(package / "models" / "engine_cache.py"))
    engine_cache._code.cache_clear()
    assert engine_cache._code() == before
    with (package / "networks" / "mvcnn.py").open("a") as file:
        file.write("\n# edited\n")
    engine_cache._code.cache_clear()
    assert engine_cache._code() != before
    engine_cache._code.cache_clear()


def test_the_folder_stays_within_its_limit_and_what_is_not_ours_stays(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "LIMIT", 5000)
    names = [engine_cache.key(str(number)) for number in range(5)]
    cache.mkdir(parents=True)
    (cache / "notes.txt").write_bytes(bytes(4000))
    for age, name in enumerate(names[:4]):
        engine_cache.store(name, b"<xml/>", bytes(1000))
        os.utime(cache / name, (age, age))
    assert engine_cache.load(names[0]) is not None  # used now: the second is the oldest
    engine_cache.store(names[4], b"<xml/>", bytes(1000))
    assert {path.name for path in cache.iterdir()} == {"notes.txt", *names} - {names[1]}
    engine_cache.store(names[1], b"<xml/>", bytes(9000))  # larger than all that is allowed: kept alone
    assert {path.name for path in cache.iterdir()} == {"notes.txt", names[1]}
