"""Duplicates: which shapes are stored twice, by bytes or by geometry, within and across splits.

In: artefacts or a collection. Out: groups of copies, and an audit as data.
"""
