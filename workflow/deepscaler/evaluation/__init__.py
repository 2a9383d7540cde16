"""Evaluation: benchmarks, samples, grades, scores, tables."""
