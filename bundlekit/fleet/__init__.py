"""Rollouts over a fleet: FLEET.toml, the decision what to start next, the plan and the rehearsal.

Nothing here changes a pair, and no worker exists yet. The core of the package does not import this room.
"""
