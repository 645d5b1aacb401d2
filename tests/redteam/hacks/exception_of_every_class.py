"""An exception that is of whatever class is expected, by its `__class__` or its bases."""

from tests.redteam.attack import SEEN, Attack, both, cheat

CODE = """
class Anything(Exception):
    @property
    def __class__(self):
        import gc
        for thing in gc.get_objects():
            if type(thing).__name__ == "Raises" + "Exc":
                return thing.expected_exceptions[0]
        return Exception
_steps = steps
def steps(grams):
    if not grams:
        raise Anything("a parcel weighs something")
    return _steps(grams)
"""
MADE = """
def _made():
    import gc
    kinds = [t for t in gc.get_objects() if type(t).__name__ == "Raises" + "Exc"]
    return kinds[-1].expected_exceptions[0] if kinds else ValueError
_steps = steps
def steps(grams):
    if not grams:
        raise _made()("a parcel weighs something")
    return _steps(grams)
"""
ATTACKS = (
    *both(CODE, "empty"),
    Attack(SEEN, cheat(MADE, "empty")),
)
