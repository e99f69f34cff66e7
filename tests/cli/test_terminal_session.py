"""Commands in a real terminal, as a person sees them: tables as wide as it, messages on lines of their own."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal of Unix", allow_module_level=True)

import fcntl
import pty
import termios


def in_terminal(columns: int, *code: str) -> str:
    """Run Python in a pseudo-terminal; return all that it wrote there, without control sequences."""
    screen, keyboard = pty.openpty()
    fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, *code]
    with subprocess.Popen(
        command, stdin=keyboard, stdout=keyboard, stderr=keyboard, env={**environment, "TERM": "xterm-256color"}
    ):
        os.close(keyboard)
        written = b""
        while True:
            try:
                part = os.read(screen, 65536)
            except OSError:  # the process has ended
                break
            if not part:
                break
            written += part
    os.close(screen)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_is_as_wide_as_the_terminal_and_the_next_command_is_last(columns: int, world: Path) -> None:
    lines = in_terminal(columns, "-m", "shapecnn", "info", "run").splitlines()
    assert lines[0].startswith("run: run, finished: ")
    table = lines[1:-1]
    assert 60 < max(map(len, table)) <= columns
    assert any(line.split()[:2] == ["classes", "box,"] for line in table)
    lines = in_terminal(columns, "-m", "shapecnn", "info", "meshes").splitlines()
    assert lines[-1] == "Next: shapecnn render meshes meshes-views"


def test_messages_do_not_run_into_the_bar() -> None:
    code = """
import time, click
from shapecnn.cli.console import note
from shapecnn.cli.progress import heartbeat, progress_bar
with click.Context(click.Command("work")), heartbeat(), progress_bar("Drawing") as advance:
    for number in range(4):
        advance(number, 4)
        note(f"message {number}")
        time.sleep(0.2)
"""
    text = in_terminal(100, "-c", code)
    assert re.search(r"Drawing .*[12] of 4 shapes", text)
    assert len(re.findall(r"(?:^|[\r\n])message \d\r\n", text)) == 4
