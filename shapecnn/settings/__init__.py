"""Settings classes for views, grids and training: immutable, typed, read from YAML files and ``--set`` options.

A hash of the settings is stored in each folder of views, grids, models and indexes that shapecnn writes. An unknown key
or a wrong value raises a UsageError that names the key. :mod:`base` has the base class and :mod:`views_and_grids` the
settings of views and grids. :mod:`experiment` has the settings of a training run. :mod:`config_files` finds config
files and :mod:`yaml_reader` reads YAML. Import the classes from these modules.
"""
