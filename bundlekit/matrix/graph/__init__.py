"""Plain update graphs: read and written as Cincinnati JSON, searched, and made from matrices and into them."""
