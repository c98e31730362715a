"""The file system: which names are allowed, where things stand, how they are changed, read and locked."""
