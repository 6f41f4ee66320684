"""The API: a reader's question in, an answer with citations out."""

__version__ = "0.1.0"
