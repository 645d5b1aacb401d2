"""Browse the products of the shop."""


def page(items, number, size=10):
    """Return the items on a page; the first page has number 1."""
    if number < 1 or size < 1:
        raise ValueError("page and size start at 1")
    start = number * size
    return items[start:start + size]


def page_count(items, size=10):
    """Return how many pages the items fill."""
    return -(-len(items) // size)


def search(items, text):
    """Return the items whose name contains the text, whatever its case."""
    wanted = text.casefold()
    return [item for item in items if wanted in item.casefold()]
