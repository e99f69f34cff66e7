"""From artefacts to a trained run."""
