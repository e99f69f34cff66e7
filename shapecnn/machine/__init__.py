"""Find out what works on this machine: renderers, inference engines, precisions, optional packages and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.machine.examination import examine as examine
    from shapecnn.machine.findings import Finding as Finding

_HOMES = {"examination": ["examine"], "findings": ["Finding"]}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
