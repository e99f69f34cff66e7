"""Settings: frozen, strict values from YAML files and ``--set``, with a hash that is stored beside what they made.

In: YAML text and dotted keys. Out: settings, or a UsageError that names the key. :mod:`core` is the base of all
settings, :mod:`artefacts` has those of views and grids, :mod:`experiment` those of a training run; :mod:`files` finds
config files, :mod:`yaml_core` reads YAML. Import from these modules; the package itself exports nothing.
"""
