"""What goes between trees: runs that others wrote come in, runs of ours go out to a server."""
