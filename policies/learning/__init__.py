"""Learning: stored experience becomes an adapter.

events of the store → `batch` (token tensors, rewards, groups) → `packed` (a group's shared prompt
once) → a trainer (`grpo`, `ppo` here; `sft`, `preference`, `reward` on TRL) → an adapter on one
frozen base (`base`).
"""
