"""Conversion between bytes and values. Only this package uses construct, and only this package knows offsets."""
