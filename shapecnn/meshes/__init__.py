"""Meshes: from a folder, zip or CSV of files to shapes, and from a file to a checked, upright, centred triangle mesh.

In: paths and bytes. Out: :class:`Shape` (id, label, split) and :class:`Mesh`, or a MeshError for one file.
"""
