"""The only place that may call a patch verified."""
