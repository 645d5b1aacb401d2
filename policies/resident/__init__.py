"""One engine for many short processes: it starts on demand, is shared, and ends when idle."""
