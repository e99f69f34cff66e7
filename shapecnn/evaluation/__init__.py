"""Evaluation: a model measured on a split: classification, retrieval by named protocols, intervals, comparisons.

In: a model and artefacts. Out: figures as data; nothing is drawn or printed here.
"""
