"""The GitHub Action: an issue's label starts a run, a draft pull request or a comment ends it.

Two jobs share the work. *solve* may read only; it runs the agent and leaves files. *propose* may
write; it believes nothing in those files that it can find out for itself.
"""
