"""Answers and results as pages and figures: pure functions of data."""
