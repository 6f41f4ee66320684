"""Thinking about a question and its answer. Nothing here waits, and nothing here knows a vendor."""
