"""Shared by all rooms: similarity of features, compiled kernels, how results show themselves, exports on first use."""
