"""Measure a bundle: samples, summary, report."""

from sphere_edge.bench.local import Plan, measure
from sphere_edge.bench.measurement import Measurement, Series

__all__ = ["Measurement", "Plan", "Series", "measure"]
