"""The command line: `agent …`. Each command group is a module; heavy imports wait for a call."""

from __future__ import annotations

import typer

from agent.cli import experience, github, models, tasks
from agent.cli.doctor import doctor
from agent.cli.eval import evaluate
from agent.cli.fix import fix
from agent.cli.mcp import mcp
from agent.cli.rollout import rollout
from agent.cli.solve import solve
from agent.cli.train import train

app = typer.Typer(
    name="agent",
    help="Fix issues in a git repository, verified, with a model on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("solve")(solve)
app.command("fix")(fix)
app.command("eval")(evaluate)
app.command("rollout")(rollout)
app.command("train")(train)
app.add_typer(tasks.app, name="tasks", help="Make tasks with known answers.")
app.add_typer(models.app, name="models", help="List, fetch, add and serve models.")
app.add_typer(experience.app, name="experience", help="Look into stored trajectories.")
app.command("mcp")(mcp)
app.add_typer(github.app, name="github", help="The steps of the GitHub Action.")
app.command("doctor")(doctor)


def main() -> None:
    """The console script."""
    app()
