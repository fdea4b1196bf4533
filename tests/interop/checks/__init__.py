"""The checks, one subject a file; `run(context)` is the way in."""
