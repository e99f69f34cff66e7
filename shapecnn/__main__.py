"""``python -m shapecnn`` is the ``shapecnn`` command."""

from shapecnn.cli.main import run

if __name__ == "__main__":
    run()
