"""Workers: processes that do work on many shapes; one that dies, hangs or grows costs one shape, not the batch.

In: a function of this package and its tasks. Out: results in the order in which they finish, and an error for each
task that failed. :mod:`pool` distributes the tasks, :mod:`server` forks the workers, :mod:`worker` runs in each of
them, :mod:`progress` reports how far long work is. Import from these modules; the package itself exports nothing.
"""
