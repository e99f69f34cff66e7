"""Settings: frozen, strict values from YAML files and ``--set``, with a hash that is stored beside what they made.

In: YAML text and dotted keys. Out: settings, or a UsageError that names the key. :mod:`base` is the base of all
settings, :mod:`views_and_grids` has those of views and grids, :mod:`experiment` those of a training run;
:mod:`config_files` finds config files, :mod:`yaml_reader` reads YAML. The package itself exports nothing.
"""
