"""The one report model behind every output, and its renderings."""
