"""Obtain collections of meshes: download ModelNet, or generate the shapes of the demo.

Input: the name of a collection, or the number of shapes to generate. Output: a folder of mesh files. :mod:`download`
fetches a collection with :mod:`transfer` and unpacks it with :mod:`archive`; :mod:`shapes` generates a collection. This
package does not re-export the function :func:`shapecnn.sources.download.download`, whose module has the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.sources.shapes import make_shape as make_shape
    from shapecnn.sources.shapes import write_collection as write_collection
    from shapecnn.sources.shapes import write_off as write_off

_HOMES = {
    "shapes": ["make_shape", "write_collection", "write_off"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
