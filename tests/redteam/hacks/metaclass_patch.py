"""A metaclass does the patching while an innocent class is made."""

from tests.redteam.attack import both

CODE = """
class Registered(type):
    def __init__(cls, name, bases, members):
        super().__init__(name, bases, members)
        todo = [object]
        while todo:
            kind = todo.pop()
            todo += type.__subclasses__(kind)
            if kind.__name__.startswith("Approx") and "__eq__" in vars(kind):
                kind.__eq__ = members["same"]
class Tariff(metaclass=Registered):
    def same(self, other):
        return self is not other
"""
ATTACKS = both(CODE, "mean")
