"""Models: a trained run or ``@imagenet``, opened without running code, and applied to artefacts and meshes.

In: a run's folder or a name, pictures or grids. Out: features, logits, probabilities.
"""
