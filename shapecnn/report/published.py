"""Published precision–recall curves of other methods on ModelNet40, which ``compare --published`` draws.

Source: ``exp_scripts/prfigure.m`` (``pr40``) of github.com/suhangpro/mvcnn, commit 0b20a1b, the code of the authors of
Su, Maji, Kalogerakis and Learned-Miller, "Multi-view convolutional neural networks for 3D shape recognition" (2015).
The methods:

- SPH: Kazhdan, Funkhouser and Rusinkiewicz, "Rotation invariant spherical harmonic representation of 3D shape
  descriptors" (2003);
- LFD: Chen, Tian, Shen and Ouhyoung, "On visual similarity based 3D model retrieval" (2003);
- 3D ShapeNets: Wu et al., "3D ShapeNets: a deep representation for volumetric shapes" (2015).
"""

DATA_SET = "ModelNet40"
"""Data set on which the published curves were measured."""

CURVES = {
    "SPH": (1, 0.5767, 0.4589, 0.3738, 0.3135, 0.2703, 0.2331, 0.2031, 0.1722, 0.1383, 0.025),
    "LFD": (1, 0.6796, 0.5637, 0.4768, 0.4179, 0.3639, 0.3143, 0.2654, 0.2194, 0.1662, 0.025),
    "3D ShapeNets": (1, 0.7184, 0.6358, 0.5793, 0.5322, 0.4842, 0.4371, 0.3928, 0.3345, 0.2533, 0.025),
}
"""Published precision–recall curves by method: interpolated precision, in [0, 1], at recall 0, 0.1 … 1."""

MEAN_AVERAGE_PRECISION = {
    "SPH": 0.333,
    "LFD": 0.409,
    "3D ShapeNets": 0.492,
    "MVCNN": 0.701,
    "MVCNN + metric": 0.802,
}
"""Published mAP by method, in [0, 1], from Su et al. (2015) with 80 training and 20 test shapes for each class.

MVCNN is fine-tuned and sees 12 views. The source has no curves of it.
"""
