"""Which statements of an answer the passages do not bear out, and which code is theirs. Pure, no model.

A statement is held against the passages it points to. It is unsupported if they lack a number or a name that it gives,
if little of what it says stands in any one place of them, if another passage says clearly more of it, or if they say
the opposite. How often that is right, and how the figures were chosen: benchmarks/GROUNDING.md.
"""

from chatbot_api.answering.grounding.judge import ground

__all__ = ["ground"]
