"""Generate the labelled synthetic meshes of ``shapecnn demo``, with random proportions, parts and topology.

Input: a class and a seed, or a folder. Output: a mesh with z up, or a collection of OFF files. ``parts`` builds
simple meshes such as boxes and tubes. ``vessels``, ``seats``, ``furniture`` and similar modules have one function for
each class, which joins simple meshes to a shape. ``making`` calls the function of a class and adds defects that real
mesh files have. ``writing`` writes the collection.
"""

from shapecnn.sources.shapes.making import CLASSES, make_shape
from shapecnn.sources.shapes.writing import write_collection, write_off

__all__ = ["CLASSES", "make_shape", "write_collection", "write_off"]
