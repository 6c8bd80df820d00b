"""The layout of RAUC bundles: signature and manifest, which is a GLib key file."""
