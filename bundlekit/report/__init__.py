"""The one report model of every output, and its renderings."""
