"""A tiny shop: the example that `make demo` repairs."""
