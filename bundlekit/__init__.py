"""bundlekit: validate signed firmware bundles, decide upgrades, and run the update."""

__version__ = "0.1.0"
