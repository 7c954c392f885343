"""`erfscope version`."""

from erfscope_contract.version import __version__


def version() -> None:
    """Print the version."""
    print(__version__)
