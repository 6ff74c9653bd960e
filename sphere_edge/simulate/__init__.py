"""Devices that are simulated on this machine, for people who have none at hand."""
