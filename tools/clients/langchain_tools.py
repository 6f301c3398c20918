"""The loop of LangChain's documentation with one tool: `python langchain_tools.py BASE_URL TASK`."""

from __future__ import annotations

import subprocess
import sys

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def shell(command: str) -> str:
    """Run a command."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout


base_url, task = sys.argv[1:]
model = ChatOpenAI(model="kimi-k2.5", base_url=base_url, api_key="x").bind_tools([shell])
messages: list[AnyMessage] = [HumanMessage(task)]
while True:
    chunks = list(model.stream(messages))
    reply = sum(chunks[1:], start=chunks[0])
    messages.append(reply)
    if not reply.tool_calls:
        break
    messages += [shell.invoke(call) for call in reply.tool_calls]
print(messages[-1].text)
