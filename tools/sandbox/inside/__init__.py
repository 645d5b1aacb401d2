"""The process inside a sandbox: it holds the workspace and runs the commands.

The sources of this package are sent through the channel and run under `python -I -S`, so they
stand on the standard library alone (Python 3.8 and above). Frames go both ways over stdin and
stdout: two big-endian 32-bit lengths, a JSON header, raw bytes. At the end of its input the
process exits and takes everything down with it.

Commands run as another user where that is possible. Nothing that a command started outlives
its run, so every other operation meets a workspace at rest. Snapshots live in a git repository
that commands cannot reach, and git, which reads what commands wrote, has no more rights than
they: it is the commands' user with one more group, which opens that repository's folder.
"""
