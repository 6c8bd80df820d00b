"""Plain update graphs: read and written as Cincinnati JSON, searched, and converted from and to matrices."""
