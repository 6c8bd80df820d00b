"""Execute an update: plan, journal, hooks, executor, rehearsal.

Nothing of it is loaded by ``import bundlekit``.
"""
