"""A tiny Qwen2 made here, and trajectories sampled from it."""

from __future__ import annotations

import random

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from policies.learning.base import AdapterConfig
from policies.learning.batch import Group, Groups, Trajectory
from policies.learning.logprobs import score
from policies.learning.packed import pack
from policies.learning.tokens import Tokens, digest

VOCABULARY = 64
ADAPTERS = AdapterConfig(rank=4, alpha=8)


def tiny_model(seed=0, layers=2, hidden=32, scale=0.02):
    """A float32 model of some ten thousand weights; the same for the same seed.

    Its output layer is its input layer: `scale` bounds how sure it can be of a token.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=scale,
        attn_implementation="sdpa",
    )
    return Qwen2ForCausalLM(config).eval()


def tokens(prompt, *turns, logprobs=None):
    """A sequence: a prompt, then turns of (written, added) ids."""
    ids, mask = list(prompt), [False] * len(prompt)
    for written, added in turns:
        ids += [*written, *added]
        mask += [True] * len(written) + [False] * len(added)
    return Tokens(tuple(ids), tuple(mask), tuple(logprobs or [0.0] * len(ids)))


def scored(model, sequence):
    """The same sequence with the log-probabilities that the model gives."""
    with torch.no_grad():
        found = iter(score(model, pack([sequence])).logprobs.tolist())
    logprobs = tuple(next(found) if trained else 0.0 for trained in sequence.mask)
    return Tokens(sequence.ids, sequence.mask, logprobs)


def random_groups(model, groups=2, samples=4, seed=0, turns=2, prompt=12):
    """Groups of multi-turn trajectories with random tokens and rewards, scored by the model."""
    draw = random.Random(seed)

    def ids(count):
        return [draw.randrange(VOCABULARY) for _ in range(count)]

    made = []
    for _ in range(groups):
        shared = ids(prompt)
        members = []
        for number in range(samples):
            parts = [(ids(draw.randint(2, 5)), ids(draw.randint(0, 3))) for _ in range(turns)]
            sequence = scored(model, tokens(shared, *parts))
            members.append(
                Trajectory(
                    id=f"t/{number}",
                    prompt=digest(shared),
                    sequences=(sequence,),
                    reward=float(number % 2),
                    policy_version="tiny",
                )
            )
        made.append(Group(digest(shared), tuple(members)))
    return Groups(tuple(made))


def tiny_tokenizer():
    """Words `0` … `59` and four marks; a chat template with roles."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [str(number) for number in range(VOCABULARY - 4)]
    vocabulary = {
        word: at for at, word in enumerate([*words, "<pad>", "<end>", "user", "assistant"])
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        chat_template="{% for m in messages %}{{ m.role }} {{ m.content }} <end> {% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}",
    )
