"""The Python interface: what ``import shapecnn`` offers, and what the commands call.

In: meshes, collections, folders of artefacts, runs and indexes, as paths or objects. Out: results that print as tables,
show pages in a notebook and become pandas frames. docs/python.md is the tutorial.
"""
