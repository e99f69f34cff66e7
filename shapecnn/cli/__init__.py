"""The ``shapecnn`` command line: one module per command, which parses options and calls ``shapecnn.api``."""
