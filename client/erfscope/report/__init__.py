"""A measurement as a document: `to_html` (self-contained) and `to_markdown`."""

from erfscope.report.content import Content, content_of
from erfscope.report.html import to_html
from erfscope.report.markdown import to_markdown

__all__ = ["Content", "content_of", "to_html", "to_markdown"]
