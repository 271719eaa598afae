"""Analyses of a network and an image, one question per module; each has a function that returns a frozen result."""
