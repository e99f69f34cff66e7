"""``python -m shapecnn`` is the ``shapecnn`` command."""

from shapecnn.cli.main import main

if __name__ == "__main__":
    main()
