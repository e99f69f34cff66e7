"""Artefacts: a folder of pictures or grids, one for each shape, with a manifest and the settings they were made with.

In: a collection, or pictures and grids that others made. Out: a sealed folder, and its content read back as arrays.
"""
