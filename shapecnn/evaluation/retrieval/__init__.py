"""Protocols and metrics of retrieval: pure functions of arrays."""
