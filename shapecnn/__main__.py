"""``python -m shapecnn`` is the ``shapecnn`` command."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, whose files are not our code

    from shapecnn.cli.main import main

    main()
