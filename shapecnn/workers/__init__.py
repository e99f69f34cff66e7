"""Workers: processes that do work on many shapes; one that dies, hangs or grows costs one shape, not the batch.

In: a function of this package and its tasks. Out: results as they are finished, and an error for each task that failed.
"""
