"""``make audit``: what it says, and its status, for each answer that pip-audit may give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "audit.py"
SOUND = {"name": "click", "version": "8.5.1", "vulns": []}
UNKNOWN = {"name": "six", "skip_reason": "not found"}
FLAWED = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "1 packages, 0 not audited, 0 with advisories"),
        ([SOUND, UNKNOWN], 3, "six: not audited: not found"),
        ([SOUND, UNKNOWN, FLAWED], 1, "jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1"),
        (None, 3, "No audit: OSV could not be reached (no route to it)"),
    ],
)
def test_the_status_tells_what_was_found(tmp_path: Path, packages: list[object] | None, status: int, said: str) -> None:
    """The tool is a stand-in that prints what pip-audit 2.10 prints: its database is not to be had in every test."""
    tool = tmp_path / "pip-audit"
    answer = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    tool.write_text(f"#!{sys.executable}\nimport sys\nprint({answer!r})\nprint('no route to it', file=sys.stderr)\n")
    tool.chmod(0o755)
    done = subprocess.run([sys.executable, SCRIPT, tool], capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True)
