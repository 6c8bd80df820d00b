"""The other direction: build a bundle from a SPEC, sign it, attach signatures made elsewhere."""
