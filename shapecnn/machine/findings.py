"""One line of an examination: what was looked at, whether it works, and what to do if it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "broken"]
"""``ok``: works here. ``absent``: optional, and not here. ``broken``: shapecnn needs it, and it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an examination found out about one part of the machine.

    Attributes:
        group: Group of the parts, such as ``renderer``.
        name: Name of the part, such as ``open3d``.
        state: ``ok``, ``absent`` or ``broken``.
        detail: What was seen, such as a version or an error, in one line.
        remedy: What to do to get it; empty if it works, or if nothing can be done.
    """

    group: str
    name: str
    state: State
    detail: str
    remedy: str = ""
