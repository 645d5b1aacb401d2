"""The issue of a task, told from what its failing tests show."""
