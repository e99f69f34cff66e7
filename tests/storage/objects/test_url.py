"""URLs as paths."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from shapecnn.errors import UsageError
from shapecnn.storage.objects.url import Url, absolute, as_path, is_url


@pytest.mark.parametrize(
    ("text", "shown", "bucket", "key"),
    [
        ("s3://bucket/a/b.off", "s3://bucket/a/b.off", "s3://bucket", "a/b.off"),
        ("s3:/bucket/a", "s3://bucket/a", "s3://bucket", "a"),  # what pathlib makes of it
        ("gs://bucket", "gs://bucket", "gs://bucket", ""),
        ("az://container/x y/é#%41?", "az://container/x y/é#%41?", "az://container", "x y/é#%41?"),
        ("file:///data/views/", "file:///data/views", "file:///", "data/views"),
        ("file:/data/views", "file:///data/views", "file:///", "data/views"),
    ],
)
def test_a_url_is_a_path_that_is_printed_as_a_url(text: str, shown: str, bucket: str, key: str) -> None:
    for given in (text, Path(text)):
        url = as_path(given)
        assert isinstance(url, Url)
        assert (str(url), url.bucket, url.key) == (shown, bucket, key)
        assert is_url(given)
        assert (url / "x" / "y.off").name == "y.off"
        assert str(url / "x") == f"{shown}/x"
        assert str((url / "x").parent) == shown
        assert url.absolute() == url.resolve() == as_path(url)
        assert not url.exists()
        assert (url / "x").is_relative_to(url)
        assert not url.is_relative_to(url / "x")
        assert not url.is_relative_to(Path("/data"))
        assert str(url.with_name("other")).endswith("/other")
        assert [str(parent) for parent in url.parents][-1] == "."
        copied = pickle.loads(pickle.dumps(url))
        assert (type(copied), str(copied)) == (Url, shown)
    assert absolute(shown) == shown


@pytest.mark.parametrize("text", ["meshes", "/data/meshes", "ftp:/x", "c:/x", "s3", "x/s3://y", "/s3:b", "s3:"])
def test_other_paths_stay_paths(text: str) -> None:
    assert not is_url(text)
    assert type(as_path(text)) is type(Path(text))


def test_a_folder_that_exists_is_a_path_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s3:b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert as_path("s3:b") == Path("s3:b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://", "s3:// names nothing: add a bucket, such as s3://my-data."),
        ("file:///", "file:// names nothing: add a folder, such as file:///data/views."),
        ("gcs://b/c", "'gcs://b/c' is not a URL that shapecnn knows: use s3://, gs://, az:// or file://."),
        ("S3://b/c", "'S3://b/c' is not a URL that shapecnn knows: use s3://, gs://, az:// or file://."),
        (
            "s3:b/c",
            "'s3:b/c' lacks the slashes of a URL: write 's3://b/c', or the absolute path of a local file or folder.",
        ),
        (
            "s3:someone:hunter2@b",
            "A s3:// URL holds no credentials, and a bucket has no '@': set environment variables.",
        ),
        (
            "s3://b/x\ny",
            r"'s3://b/x\ny' holds a control character, such as a line break: objects of such names cannot be used.",
        ),
        ("http://b/c", "'http://b/c' is not a URL that shapecnn knows: use s3://, gs://, az:// or file://."),
        (
            "s3://someone:hunter2@b/c",
            "A s3:// URL holds no credentials, and a bucket has no '@': set environment variables.",
        ),
        ("s3://b#c/d", "'b#c' is no bucket: its name has letters, digits, '.', '-' and '_' only."),
        ("gs://b c/d", "'b c' is no bucket: its name has letters, digits, '.', '-' and '_' only."),
        ("s3://b/../c", r"'s3://b/../c' is not a path in an object store: leave out the parts named '..'."),
    ],
)
def test_urls_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        as_path(text)
    assert str(refused.value) == message


def test_the_advice_for_a_file_url_without_slashes_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("long" * 20)
    place.mkdir()
    monkeypatch.chdir(place)
    with pytest.raises(UsageError, match=f"write 'file://{place}/b', or"):
        as_path("file:./b")


def test_a_url_is_no_path_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a local folder ``s3:``, by a function that does not know URLs."""
    monkeypatch.chdir(tmp_path)
    url = as_path("s3://bucket/x")
    for use in (os.stat, Path.stat, Path.mkdir, Path.read_bytes, Path.unlink, open, os.makedirs):
        with pytest.raises(UsageError, match=r"^s3://bucket/x is a URL, but a local path is needed here"):
            use(url)  # type: ignore[operator]
    assert not any((url.exists(), url.is_dir(), url.is_file(), url.is_symlink(), os.path.exists(url)))
    assert [*tmp_path.iterdir()] == []
