"""Training of networks, from artefacts to a run."""
