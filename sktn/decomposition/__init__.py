"""Tensors: structure search, compression, completion."""
