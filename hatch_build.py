"""Project URLs of a build: the addresses of the repository that builds it, which GitHub tells its workflows.

A build elsewhere knows no repository, and names none.
"""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProjectUrls(MetadataHookInterface):
    """Fills in `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the URLs to the project's metadata."""
        server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        if not (server and repository):
            metadata["urls"] = {}
            return
        home = f"{server}/{repository}"
        metadata["urls"] = {
            "Source": home,
            "Documentation": f"{home}/blob/main/docs/index.md",
            "Changelog": f"{home}/blob/main/CHANGELOG.md",
            "Issues": f"{home}/issues",
            "Security": f"{home}/blob/main/SECURITY.md",
        }
