"""The page at /, the reference at /docs: static files from this package, nothing from elsewhere."""

from erfscope_service.page.endpoints import router

__all__ = ["router"]
