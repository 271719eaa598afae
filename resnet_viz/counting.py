"""A number of things in words."""


def counted(count: int, one: str, several: str = "") -> str:
    """Return "1 image", "2 images", "1,000 classes": `several` is the plural, by default `one` and an s."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
