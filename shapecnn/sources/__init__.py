"""Sources of collections: downloads of ModelNet, and generated shapes for the demo.

In: the name of a collection, or the number of shapes to generate. Out: a folder of mesh files.
:func:`shapecnn.sources.download.download` fetches a collection, :func:`shapecnn.sources.shapes.write_collection`
generates one. Import each from its module: the two have no code in common.
"""
