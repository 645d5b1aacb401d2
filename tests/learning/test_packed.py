"""The tree computes what rows of their own compute: log-probabilities and gradients."""

import torch

from policies.learning.base import SharedBase
from policies.learning.logprobs import head_scores
from policies.learning.packed import nodes_of, pack, split
from tests.learning.tiny import ADAPTERS, VOCABULARY, random_groups, tiny_model, tokens


def sequences_of(groups):
    return [s for g in groups.groups for t in g.trajectories for s in t.sequences]


def rows_alone(model, sequences):
    """Log-probabilities of trained tokens, each sequence in a stock forward pass of its own."""
    found = []
    for sequence in sequences:
        ids = torch.tensor([sequence.ids])
        logprobs = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
        chosen = logprobs.gather(1, ids[0, 1:, None])[:, 0]
        found.append(chosen[torch.tensor(sequence.mask[1:])])
    return torch.cat(found)


def test_a_shared_prefix_is_one_chain_of_nodes():
    prompt = list(range(10))
    group = [tokens(prompt, ([1, 2], [])), tokens(prompt, ([1, 3], [])), tokens(prompt, ([4], []))]
    packed = pack(group)
    assert packed.nodes == nodes_of(group) == 10 + 4
    assert packed.positions[0].tolist() == [*range(10), 10, 11, 11, 10]
    assert packed.targets.tolist() == [1, 2, 1, 3, 4]
    assert packed.owner.tolist() == [0, 0, 1, 1, 2]
    assert packed.at.tolist() == [9, 10, 9, 10, 9]
    assert packed.attends[0, 0, 12].nonzero()[:, 0].tolist() == [*range(11), 12]
    assert pack(group, share=False).nodes == 12 + 12 + 11


def test_logprobs_and_gradients_are_those_of_rows_alone():
    model = tiny_model()
    groups = random_groups(model, groups=2, samples=8, prompt=40)
    base = SharedBase(model, ADAPTERS)
    for parameter in base.parameters("policy"):
        torch.nn.init.normal_(parameter, std=0.05)
    weights = None
    results = []
    for how in ("tree", "side by side", "alone"):
        if how == "alone":
            found = rows_alone(base.peft, sequences_of(groups))
        else:
            packed = pack(sequences_of(groups), share=how == "tree")
            found = base.logprobs(packed).logprobs
        if weights is None:
            weights = torch.randn(len(found), generator=torch.Generator().manual_seed(1))
        (found * weights).sum().backward()
        gradients = torch.cat([p.grad.reshape(-1) for p in base.parameters("policy")])
        results.append((found.detach(), gradients))
        base.peft.zero_grad()
    alone, expected = results[-1]
    for found, gradients in results[:-1]:
        assert torch.allclose(found, alone, atol=1e-5, rtol=0)
        assert (gradients - expected).norm() / expected.norm() < 1e-5


def test_stock_logits_at_the_index_tensor_are_the_same():
    model = tiny_model()
    packed = pack(sequences_of(random_groups(model)))
    base = SharedBase(model, ADAPTERS)
    logits = model(
        input_ids=packed.ids,
        attention_mask=packed.attends,
        position_ids=packed.positions,
        logits_to_keep=packed.at,
    ).logits[0]
    expected = logits.log_softmax(-1).gather(1, packed.targets[:, None])[:, 0]
    scores = base.logprobs(packed)
    assert torch.allclose(scores.logprobs, expected, atol=1e-5, rtol=0)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    assert torch.allclose(scores.entropy, entropy, atol=1e-4, rtol=0)


def test_the_head_gives_the_gradient_of_autograd():
    torch.manual_seed(0)
    weight, bias = torch.randn(VOCABULARY, 16), torch.randn(VOCABULARY)
    targets = torch.randint(VOCABULARY, (11,))
    upstream = torch.randn(11)
    gradients = []
    for ours in (True, False):
        hidden = torch.randn(11, 16, generator=torch.Generator().manual_seed(2), requires_grad=True)
        if ours:
            found = head_scores(hidden, weight, bias, targets, chunk=4).logprobs
        else:
            logits = torch.nn.functional.linear(hidden, weight, bias)
            found = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
        (found * upstream).sum().backward()
        gradients.append(hidden.grad)
    assert torch.allclose(*gradients, atol=1e-5)


def test_packs_hold_at_most_the_limit_and_all_that_fits():
    prompt = list(range(20))
    group = [tokens(prompt, ([n] * 10, [])) for n in range(6)]
    packs = split(group, limit=45)
    assert packs == [[0, 1], [2, 3], [4, 5]]
    assert all(nodes_of([group[place] for place in places]) <= 45 for places in packs)
    assert split([tokens(range(50), ([1], []))], limit=45) == []


def test_gradients_of_sure_tokens_survive_bfloat16():
    torch.manual_seed(0)
    weight = torch.randn(50, 16).bfloat16()
    hidden = (0.6 * weight[3:4]).requires_grad_()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        own = hidden.detach().to(dtype).requires_grad_()
        scores = head_scores(own, weight.to(dtype), None, torch.tensor([3])).logprobs
        assert -0.002 < float(scores.detach()) < -0.00001
        scores.sum().backward()
        found.append(own.grad.float())
    exact, rounded = found
    assert (rounded - exact).norm() < 0.2 * exact.norm()
