"""The page at /: static files from this package, nothing from elsewhere."""

from erfscope_service.page.endpoints import router

__all__ = ["router"]
