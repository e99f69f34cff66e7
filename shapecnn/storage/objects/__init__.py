"""Publish to object storage and read from it: ``s3://``, ``gs://``, ``az://`` and ``file://``.

A bucket has no rename, so a published folder is a set of objects that never change, and heads that say which of them
belong together, below the prefix that the user named:

- ``shapecnn/heads/00000003.json``: the third version: its table of files, and how many files and bytes it has.
- ``shapecnn/objects/00000003/…``: objects that the writer of the third version uploaded, named by their SHA-256: a file
  each, or tar shards of many files; and the table of files, which says for each file its size, its SHA-256 and where it
  lies.

A head is written last, and only if no head of this number exists. So readers, who use the highest number, see a whole
version or the one before it, and of two writers one is told that the other was faster. A writer uploads only below its
own number, and refers to older objects only if the version before names them. So it may remove objects of its own
number and of earlier ones that neither its version nor the one before names, without harm to a writer that follows.

:mod:`store` is the only module that imports obstore; :mod:`environment` checks what the user has set for it. :mod:`url`
has the paths, :mod:`heads` the heads and tables, :mod:`shards` the tar shards, :mod:`upload` publishes, :mod:`snapshot`
reads through the bounded cache of :mod:`cache`.
"""
