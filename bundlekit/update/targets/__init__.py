"""The hooks that change an appliance: commands and slots."""
