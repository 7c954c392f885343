"""Tiles: halo, alignment and crop from the geometry, checked by running the tiles."""

from erfscope_intake.tiles.tile import tile

__all__ = ["tile"]
