"""Measure a bundle on a device: samples, summary, report."""

from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.bench.plan import Plan
from sphere_edge.bench.text import measure

__all__ = ["Measurement", "Plan", "Series", "measure"]
