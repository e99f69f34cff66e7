"""The shapes of the demo: labelled meshes made by procedure, z up, of varied proportions, parts and topology.

``parts`` are lofts. ``vessels``, ``seats``, ``furniture`` and so on join them, one function for each class;
``making`` picks the class and adds the defects of real files; ``writing`` makes the collection.
"""

from shapecnn.sources.shapes.making import CLASSES, make_shape
from shapecnn.sources.shapes.writing import write_collection, write_off

__all__ = ["CLASSES", "make_shape", "write_collection", "write_off"]
