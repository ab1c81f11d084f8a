"""Object storage: the only room that knows it."""
