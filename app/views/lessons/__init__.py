"""The lessons, one module each, with the lesson's name."""
