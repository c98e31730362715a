"""What each mechanism is for: taken out of a copy of the sources, one at a time, it makes something fail."""
