"""The layout of MCUboot images: header, TLVs, slot trailer, and Intel HEX around them."""
