"""Search: the features of a collection, kept up to date on disk, and the most similar shapes of a query.

In: a collection, meshes, photographs. Out: an index folder; hits with their similarity.
"""
