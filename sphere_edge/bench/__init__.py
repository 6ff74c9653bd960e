"""Measure a bundle: samples, summary, report."""
