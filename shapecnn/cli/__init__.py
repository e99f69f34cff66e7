"""Command line: one module per command; the work is done by the functions of ``shapecnn.api``."""
