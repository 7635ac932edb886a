"""Images as rows of a table: in which order a chain reads the pixels, and what one site is made of.

A chain tells its neighbours apart best, so pixels that are close in the image should be close in
the row. Every transformer here reads rows that are flattened images, the last axis fastest, as
``images.reshape(len(images), -1)`` makes them.
"""

from sktn.image.gather import PixelOrder, PixelPadding, PixelPatches
from sktn.image.paths import pixel_path
from sktn.image.pooling import PixelPooling

__all__ = ["PixelOrder", "PixelPadding", "PixelPatches", "PixelPooling", "pixel_path"]
