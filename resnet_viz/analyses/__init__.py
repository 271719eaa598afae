"""Questions to a network and an image, one a file: each has a `run`-like function that returns a frozen result."""
