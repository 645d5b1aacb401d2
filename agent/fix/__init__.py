"""`agent fix`: the checks of a commit on what is staged, and a verified fix when they fail."""
