"""Reports: HTML pages, figures and tables of the results of a command.

In: an evaluation, a comparison, an audit, explanations or answers to queries. Out: one HTML page that needs no other
file, SVG and PNG figures, and JSON and CSV files in the folder of the report.

Each command imports one module: ``evaluation``, ``comparison``, ``audit``, ``explanation`` or ``pages`` (answers to
queries). Nothing is imported here, so that a command does not load what only the others need.
"""
