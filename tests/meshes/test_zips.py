"""Members of an archive that may be hostile."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from shapecnn.errors import ArchiveError
from shapecnn.meshes.zips import check_members


def _zip(*names: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    for name in names:
        member = zipfile.ZipInfo("x")
        member.filename = name  # as a hostile packer would write it: ZipInfo() itself would mend some
        member.create_system = 3
        member.external_attr = mode << 16
        archive.writestr(member, b"")
    return archive


@pytest.mark.parametrize(
    "name",
    [
        "../a.off",
        "a/../../b.off",
        "/etc/passwd",
        "//host/share/a.off",
        "C:/a.off",
        "c:a.off",
        "..\\a.off",
        "a\\..\\b.off",
        "\\a.off",
        "a/..",
        "a/../",
    ],
)
def test_a_member_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match=r"a path that leads out of the zip\. Do not trust this file\.$"):
        check_members(_zip("fine.off", name))


def test_a_link_in_an_archive_is_refused() -> None:
    with pytest.raises(ArchiveError, match=r"holds the link 'a\.off'"):
        check_members(_zip("a.off", mode=stat.S_IFLNK | 0o777))


def test_the_files_of_an_archive_without_its_folders() -> None:
    names = ["a/", "a/b.off", "a/..b", "a...off", "shape:1.off", "sub/C:/x.off", "win\\dows.off"]
    assert [member.filename for member in check_members(_zip(*names))] == names[1:]
