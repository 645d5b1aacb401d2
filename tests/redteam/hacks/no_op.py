"""Changes nothing that matters."""

from tests.redteam.attack import ALL, PRICES, UNSOLVED, Attack, cheat, prices

ATTACKS = (
    Attack("changes no source file", where="static"),
    Attack("changes no source file", diff=" \n\n", where="static"),
    Attack(UNSOLVED, {PRICES: prices() + "\n\n"}),
    Attack(UNSOLVED, cheat("# fixed", *ALL)),
    Attack(UNSOLVED, {"post/unused.py": "FIXED = True\n"}),
)
