"""`erfscope version`."""

from erfscope._version import __version__


def version() -> None:
    """Print the version."""
    print(__version__)
