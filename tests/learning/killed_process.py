"""A training run that is killed with SIGKILL in the middle: `python -m … TRAINER FOLDER`."""

import os
import signal
import sys
from pathlib import Path

import torch

from policies.learning import grpo, ppo
from policies.learning.base import SharedBase
from policies.learning.data import DataConfig, lay_out
from policies.learning.losses import PolicyLossConfig
from policies.learning.run import Run
from tests.learning.tiny import ADAPTERS, random_groups, tiny_model

KILLED_AT = 5
_SHARED = {
    "steps": 8,
    "save_every": 2,
    "learning_rate": 1e-2,
    "data": DataConfig(groups_per_step=1),
    "loss": PolicyLossConfig(kl=0.01),
}
CONFIGS = {
    "grpo": grpo.GrpoConfig(**_SHARED),
    "ppo": ppo.PpoConfig(**_SHARED, value_learning_rate=1e-2, lam=0.95),
}


def open_base(trainer, scale=0.02):
    model = tiny_model(scale=scale)
    torch.manual_seed(7)
    return SharedBase(model, ADAPTERS, value=trainer == "ppo")


def open_data():
    return lay_out(random_groups(tiny_model(), groups=3))


def train(trainer, base, data, config, run):
    return {"grpo": grpo.train, "ppo": ppo.train}[trainer](base, data, config, run)


def kill(row, total):
    if row["step"] == KILLED_AT:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, folder = sys.argv[1:]
    run = Run(Path(folder), {"trainer": name}, on_row=kill)
    train(name, open_base(name), open_data(), CONFIGS[name], run)
