"""The Python interface: the functions that ``import shapecnn`` offers, and that the commands call.

The functions take meshes, collections, artefacts (rendered views or voxel grids), runs and indexes, as paths or as
objects. Their results print as tables, show HTML in a notebook, and convert to pandas data frames. The tutorial is
docs/python.md.
"""
