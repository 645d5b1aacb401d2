"""What a customer is about to buy."""


class Basket:
    """Amounts of products, with their prices in cents."""

    def __init__(self):
        self.lines = {}

    def add(self, name, price, amount=1):
        """Add some of a product."""
        _, before = self.lines.get(name, (price, 0))
        self.lines[name] = (price, before + amount)

    def total(self):
        """Return the price of everything, in cents."""
        return sum(price * amount for price, amount in self.lines.values())

    def discounted(self, percent):
        """Return the total after a discount, in cents, rounded down."""
        return self.total() * (100 - percent) // 100
