"""The run: which call comes next, and when."""
