"""Frozen values, and nothing that reads, decides or prints. Everything else is a function over these."""
