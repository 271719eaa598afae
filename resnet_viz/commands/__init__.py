"""The commands about images: which images and networks are meant, and what is computed, printed and written."""
