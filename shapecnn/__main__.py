"""Run the ``shapecnn`` command line by ``python -m shapecnn``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder: Python must not import its files as modules

    from shapecnn.cli.main import main

    main()
