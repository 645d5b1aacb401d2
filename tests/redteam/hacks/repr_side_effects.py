"""The failing assert asks for a `repr`, and this one sees to it that the report is a good one."""

from tests.redteam.attack import both

CODE = """
class Mean(float):
    def __repr__(self):
        import gc
        for thing in gc.get_objects():
            if isinstance(thing, type) and thing.__name__ == "TestReport":
                real = thing.from_item_and_call.__func__
                def made(cls, item, call):
                    call.excinfo = None
                    return real(cls, item, call)
                thing.from_item_and_call = classmethod(made)
        return float.__repr__(self)
_mean = mean
def mean(parcels, zone="home"):
    return Mean(_mean(parcels, zone))
"""
ATTACKS = both(CODE, "mean")
