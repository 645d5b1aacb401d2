"""What an engine's tokens were for a text that it has seen, so that they are never redone."""

from __future__ import annotations

from collections import OrderedDict


class PrefixMap:
    """Rendered text → the token ids that the engine saw and produced for it, bounded.

    Tokenising a text that a model wrote need not give the tokens that it wrote. A
    conversation that goes on from a completion therefore takes its first ids from here and
    tokenises only the rest. Two completions of one prompt with the same text and different
    tokens share an entry: the later one stays.
    """

    def __init__(self, end_of_turn: str, limit: int = 512) -> None:
        """`end_of_turn` is the text that the chat template puts after an assistant's message."""
        self._end = end_of_turn
        self._limit = limit
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, prompt: str, completion: str, ids: tuple[int, ...]) -> None:
        """Remember `ids` for `prompt + completion`, less the token that ended the turn.

        A template that strips messages renders `completion` stripped: that is found too.
        """
        for text in {prompt + completion, prompt + completion.strip()}:
            self._known[text] = ids
            self._known.move_to_end(text)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def longest(self, rendered: str) -> tuple[str, tuple[int, ...]]:
        """The longest remembered text that `rendered` continues with the end of a turn.

        Returns it with its ids; ("", ()) when there is none.
        """
        best = ""
        for text in self._known:
            if (
                len(text) > len(best)
                and rendered.startswith(text)
                and rendered.startswith(self._end, len(text))
            ):
                best = text
        if not best:
            return "", ()
        self._known.move_to_end(best)
        return best, self._known[best]
