"""Measuring: ratios of speeds in one run on one machine, so that they mean the same everywhere."""
