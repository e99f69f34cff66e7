"""Worker processes for many shapes in parallel. If a worker dies, hangs or uses too much memory, only one shape fails.

The caller passes a function and its tasks, and receives the results in the order in which they finish, with an error
for each failed task. :mod:`pool` distributes the tasks, :mod:`server` starts the worker processes, :mod:`worker` is the
code that runs in each worker process, :mod:`threads` runs tasks that only wait for files in this process,
:mod:`progress` reports the progress of long computations, and :mod:`launch` reads how many processes ``torchrun`` has
started. Import from these modules: the package itself exports
nothing.
"""
