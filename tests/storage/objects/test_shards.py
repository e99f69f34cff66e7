"""Tar shards: any program of tar reads them, and WebDataset's rule makes one sample of the files of a shape."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from shapecnn.storage.objects import shards
from shapecnn.storage.objects.shards import sample_name, write_shards

_SAMPLE = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")  # base_plus_ext of webdataset.tariterators


@pytest.mark.parametrize(
    ("stem", "ending", "sample"),
    [("chair/a", "png", "chair/a"), ("a.v2/b.1", "003.png", "a.v2/b%2E1"), ("50%.x", "r00.binvox", "50%25%2Ex")],
)
def test_all_files_of_a_shape_are_one_sample(stem: str, ending: str, sample: str) -> None:
    match = _SAMPLE.match(sample_name(stem, ending))
    assert match is not None
    assert match.groups() == (sample, ending)


def test_tar_reads_what_is_written_at_the_noted_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 3000)
    contents = {"a.png": b"", "b/é.png": b"x" * 511, "c" * 150 + ".png": b"y" * 512, "d.png": b"z" * 9000, "e": b"1"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    made = []
    found = {}
    for packed in write_shards(tmp_path, ((name, f"n/{name}") for name in contents), tmp_path / "shard"):
        made.append(whole := (tmp_path / "shard").read_bytes())
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            members = archive.getmembers()
            assert [member.name for member in members] == [f"n/{each.path}" for each in packed]
            for member, each in zip(members, packed, strict=True):
                file = archive.extractfile(member)
                assert file is not None
                found[each.path] = file.read()
                assert whole[each.offset : each.offset + member.size] == contents[each.path]
    assert found == contents
    assert len(made) == 3  # closed when it has 3,000 bytes
    again = [(tmp_path / "shard").read_bytes() for _ in write_shards(
        tmp_path, ((name, f"n/{name}") for name in contents), tmp_path / "shard")]  # fmt: skip
    assert again == made
