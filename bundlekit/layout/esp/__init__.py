"""The layout of ESP-IDF images: header, segments, signature blocks, and a merged flash."""
