"""Demo shapes: labelled meshes from procedural generators, with varied proportions, parts and topology.

In: a class and a seed, or a folder. Out: a mesh with z up, or a collection of OFF files. ``parts`` makes the building
blocks; ``vessels``, ``seats``, ``furniture`` and so on join them, one function for each class. ``making`` picks the
class and adds the defects of real files; ``writing`` writes the collection.
"""

from shapecnn.sources.shapes.making import CLASSES, make_shape
from shapecnn.sources.shapes.writing import write_collection, write_off

__all__ = ["CLASSES", "make_shape", "write_collection", "write_off"]
