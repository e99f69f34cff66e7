"""Any bytes in, one sentence out: generated inputs, and what has to hold of whatever comes of them.

::

    seeds ── small sound files ──> inputs ── damaged files, wild meshes ──> targets ── "read", "refused: KIND"
                                                                               └── or a Finding: a bug
"""
