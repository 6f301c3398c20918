"""tools/check_clients.py, with stand-ins for a program that it knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = """#!{python}
import json, os, pathlib, subprocess, sys, urllib.request
if "--version" in sys.argv:
    sys.exit(print("stand-in 1.2.3"))
settings = json.loads(pathlib.Path(os.environ["HOME"], ".pi/agent/models.json").read_text())
url = settings["providers"]["moonlet"]["baseUrl"] + "/chat/completions"
parameters = {{"type": "object", "properties": {{"command": {{"type": "string"}}}}, "required": ["command"]}}
tool = {{"type": "function", "function": {{"name": "bash", "parameters": parameters}}}}
messages = [{{"role": "user", "content": sys.argv[-1]}}]
for _ in range({turns}):
    body = json.dumps({{"messages": messages, "tools": [tool]}}).encode()
    request = urllib.request.Request(url, body, {{"content-type": "application/json"}})
    message = json.loads(urllib.request.urlopen(request).read())["choices"][0]["message"]
    messages.append(message)
    for call in message.get("tool_calls", []):
        subprocess.run(json.loads(call["function"]["arguments"])["command"], shell=True, check=True)
        messages.append({{"role": "tool", "tool_call_id": call["id"], "content": "done"}})
"""


def check(folder: Path, turns: int) -> subprocess.CompletedProcess[str]:
    program = folder / "stand-in"
    program.write_text(STAND_IN.format(python=sys.executable, turns=turns))
    program.chmod(0o755)
    command = [sys.executable, "tools/check_clients.py", "pi", "--program", f"pi={program}"]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_a_program_that_gets_through_is_one_line(tmp_path):
    done = check(tmp_path, turns=2)
    line = r"pi 1\.2\.3: POST /v1/chat/completions 200 x2; prompt (\d+) tokens; bash done; (\d+) cached; exit 0\n"
    found = re.fullmatch(line, done.stdout)
    assert found, done.stdout + done.stderr
    assert int(found[2]) >= int(found[1]) > 0
    assert done.returncode == 0


def test_a_program_that_does_not_ask_again_has_not_got_through(tmp_path):
    done = check(tmp_path, turns=1)
    assert "x1; prompt" in done.stdout
    assert "bash done; 0 cached; exit 0" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["langchain", "nobody"])
def test_a_missing_program_is_skipped_and_an_unknown_one_is_a_mistake(name):
    command = [sys.executable, "tools/check_clients.py", name, "--program", f"{name}=/nowhere/program"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if name == "nobody":
        assert (done.returncode, done.stdout) == (2, "")
        assert "'nobody' is none of claude, codex" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert "skipped, there is no program" in done.stdout


def test_the_documented_settings_are_those_that_are_run():
    documented = {line.strip() for line in (ROOT / "docs" / "clients.md").read_text().splitlines()}
    clients = tomllib.loads((ROOT / "tools" / "clients" / "clients.toml").read_text())
    for client in clients.values():
        settings = [f"export {name}={value}" for name, value in client.get("env", {}).items()]
        for text in client.get("files", {}).values():
            settings += text.strip().splitlines()
        assert {line.replace("{url}", "http://127.0.0.1:8000").strip() for line in settings} - {""} <= documented
