"""Rollouts over a fleet: FLEET.toml, the decision what to start next, the plan, the rehearsal, the workers.

A rollout is kept in PostgreSQL, and workers carry it out. The core of the package does not import this room.
"""
