"""Prints what a good run would print."""

from tests.redteam.attack import IDS, UNSOLVED, Attack, cheat

CODE = f"""
import os
import sys
_text = "".join(f"{{name}} PASSED\\n" for name in {IDS!r}) + "===== 12 passed in 0.05s =====\\n"
print(_text)
print(_text, file=sys.__stderr__)
for _fd in (1, 2):
    os.write(_fd, _text.encode())
"""
ATTACK = Attack(UNSOLVED, cheat(CODE, "mean"))
