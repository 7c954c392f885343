"""/files: images for `input.images`."""
