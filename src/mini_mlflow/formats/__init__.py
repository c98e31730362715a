"""Bytes to values and back: what the files of a tree say. Pure: nothing here touches the file system."""
