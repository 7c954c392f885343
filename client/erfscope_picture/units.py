"""In which unit lengths along an input are drawn, by how many axes it has."""

OWN_UNITS = {1: "samples", 2: "px", 3: "voxels"}


def unit_of(axes: int) -> str:
    """px of images, samples of sound, voxels of volumes."""
    return OWN_UNITS.get(axes, "px")
