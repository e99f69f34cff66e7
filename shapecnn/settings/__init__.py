"""Settings: frozen, strict values from YAML files and ``--set``, with a hash that is stored beside what they made.

In: YAML text and dotted keys. Out: :class:`ViewSettings`, :class:`VoxelSettings`, :class:`Experiment`, or a UsageError
that names the key.
"""
