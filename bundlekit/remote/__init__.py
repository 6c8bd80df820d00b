"""Bundles on servers, read by ranges.

``url`` reads and shows their addresses. ``web`` reads from http and https with the standard library, and ``buckets``
from S3, Google Cloud Storage and Azure with ``obstore``. Both are a ``source.RemoteSource``; ``faults`` has its errors.
"""
