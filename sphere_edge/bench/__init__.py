"""Measure a bundle on a device: samples, summary, report."""

from sphere_edge.bench.measure import measure
from sphere_edge.bench.measurement import Measurement, Series
from sphere_edge.bench.plan import Plan

__all__ = ["Measurement", "Plan", "Series", "measure"]
