"""Look for the packages that shapecnn needs, its extras, and weights that are installed as packages."""

from __future__ import annotations

import re
from importlib import metadata, util
from typing import NamedTuple

from shapecnn.machine.findings import Finding
from shapecnn.networks.weights import OFFLINE

_PURPOSES = {
    "meshopt": "glTF files that are compressed with meshopt",
    "notebook": "results as pandas frames",
    "tensorboard": "curves of a training: train --tensorboard",
    "web": "searching in a browser",
}


class Requirement(NamedTuple):
    """Package that shapecnn depends on.

    Attributes:
        name: Name of the package.
        extra: Extra that asks for the package; empty if shapecnn always needs it.
        marker: Condition on the platform, as in the metadata; empty without one.
    """

    name: str
    extra: str
    marker: str


def requirements() -> list[Requirement]:
    """Return the packages in the metadata of the installed shapecnn, without those for its developers.

    Returns:
        The packages; an empty list if shapecnn runs from a folder without being installed.
    """
    try:
        lines = metadata.requires("shapecnn") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"""extra\s*==\s*["']([^"']+)["']""", marker)
        if name is not None and (extra is None or extra[1] != "dev"):
            found.append(Requirement(name[0], extra[1] if extra else "", "" if extra else marker.strip()))
    return found


def required_packages() -> list[Finding]:
    """Tell whether all packages that shapecnn always needs are installed; those of some platforms only are left out."""
    needed = [each.name for each in requirements() if not each.extra and not each.marker]
    missing = [name for name in needed if version_of(name) is None]
    if missing:
        remedy = f"pip install {' '.join(missing)}"
        return [Finding("packages", "required", "broken", f"missing: {', '.join(missing)}", remedy)]
    detail = f"all {len(needed)} are installed" if needed else "not checked: shapecnn is not installed as a package"
    return [Finding("packages", "required", "ok", detail)]


def extras() -> list[Finding]:
    """Tell which extras are installed, and how to install the others."""
    names: dict[str, list[str]] = {}
    for each in requirements():
        if each.extra:
            names.setdefault(each.extra, []).append(each.name)
    findings = []
    for extra in sorted(names):
        versions = {name: version_of(name) for name in names[extra]}
        missing = [name for name, version in versions.items() if version is None]
        purpose = _PURPOSES.get(extra)
        if missing:
            detail = f"for {purpose}" if purpose else f"missing: {', '.join(missing)}"
            findings.append(Finding("extra", extra, "absent", detail, f"pip install 'shapecnn[{extra}]'"))
        else:
            detail = ", ".join(f"{name} {version}" for name, version in versions.items())
            findings.append(Finding("extra", extra, "ok", f"{detail}, for {purpose}" if purpose else detail))
    return findings


def kept_weights() -> list[str]:
    """Return the backbones whose ImageNet weights are installed as Python packages."""
    return [name for name, package in OFFLINE.items() if util.find_spec(package.module) is not None]


def version_of(name: str) -> str | None:
    """Return the version of an installed package; None if it is not installed.

    Example:
        >>> version_of("no-package-of-this-name") is None
        True
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
