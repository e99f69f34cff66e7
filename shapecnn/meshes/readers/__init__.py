"""Readers: one for each mesh format, from bytes to triangles.

In: the bytes of a file. Out: :class:`Triangles` (vertices, faces, notes) as the file has them, or a MeshError.
"""
