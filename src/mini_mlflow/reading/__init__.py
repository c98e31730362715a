"""Reading a tree: never locks, never writes, works on a read-only tree, survives what is damaged."""
