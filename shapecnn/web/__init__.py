"""The local web application: search a collection in the browser, by meshes, pictures or drawings, and see it as a map.

:mod:`server` runs the application, :mod:`application` lists its addresses, :mod:`desk` answers the requests, and
:mod:`guard` decides which requests are answered at all. The page is in ``static``: plain modules, without a build step.
"""
