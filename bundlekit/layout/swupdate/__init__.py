"""The layout of SWUpdate images: the cpio archive, and the sw-description in it."""
