"""3D shape recognition with multi-view and volumetric convolutional networks.

A mesh is seen (12 pictures) or filled (a 30³ grid); a network turns either into class scores and a feature; features
are searched and measured; people look at the result::

    mesh file ── mesh.load_mesh ──> Mesh ──┬── views.draw_views ────> pictures ──┐
                                           └── voxels.voxelize ─────> grid ──────┴── inference ──> feature ── index

Every stage is a function from typed values to one result, and the command line is its thin tail (``shapecnn --help``).
"""

__version__ = "0.1.0"
