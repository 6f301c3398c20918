"""A task of one sample with one tool, for `inspect eval inspect_tools.py -T task=...`."""

from __future__ import annotations

import subprocess

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool


@tool
def shell() -> Tool:
    async def execute(command: str) -> str:
        """Run a command.

        Args:
            command: What to run.
        """
        return subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout

    return execute


@task
def tools(task: str) -> Task:
    return Task([Sample(task, target="Done")], solver=[use_tools(shell()), generate()], scorer=includes())
