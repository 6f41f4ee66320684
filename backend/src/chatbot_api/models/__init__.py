"""Values of the core (`domain`) and what crosses the wire (`chat_models`)."""
