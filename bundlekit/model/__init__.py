"""Frozen values only. Everything that reads, decides or prints is a function of these values, in another package."""
