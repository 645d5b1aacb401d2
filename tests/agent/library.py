"""A small module that tests break."""

LIBRARY = """\
def clamp(value, low, high):
    \"\"\"The value, or the nearer end of the range.\"\"\"
    if value < low:
        return low
    if value < high:
        return high
    return value


def total(numbers):
    found = 0
    for number in numbers:
        found += number
    return found - 2 + 1


def missing(table, key):
    found = table.get(key)
    return found.strip()
"""
