"""Does a program that people use with K2.5 get through one tool call with `moonlet serve`?

    python tools/check_clients.py                        every program of tools/clients/clients.toml that is in PATH
    python tools/check_clients.py claude --program claude=/opt/claude/bin/claude
    python tools/check_clients.py claude --nano          its real prompt, answered by K25-nano as well as it can
    python tools/check_clients.py claude --picture       with the tool that shows the model a picture

Each program gets a home and a working folder of its own, and a server whose model is scripted (tests/fakes): it calls
the program's shell, and answers when it has seen the result. A line tells the version, the requests, the tokens of the
first prompt, whether the tool ran, the tokens that the last request found in the cache, and the exit code. Ends with 1
if one of the programs did not get through. `--vocabulary` names the folder of a K2.5 checkpoint, for prompts counted in
its tokens; `--record` keeps what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).parent / "clients" / "clients.toml"
TASK = "Write the word moonlet into the file routed.txt."
ROUTED = "routed.txt"
PICTURE = "picture.png"
PICTURE_TOKENS = 400
NO_CALL: Mapping[str, Any] = {"name": "", "arguments": {}}
CONTEXT_LENGTH = 131072
NANO_CONTEXT_LENGTH = 32768
VERSION_TIMEOUT_S = 60

_ACCESS = re.compile(
    r"method=(\S+) path=(\S+) status=(\d+) seconds=\S+(?: prompt=(\d+) cached=(\d+) generated=\d+ finish=(\w+))?"
)
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Client:
    """A table of clients.toml, which says what the fields are."""

    title: str
    program: str
    arguments: Sequence[str]
    call: Mapping[str, Any] | None = None
    look: Mapping[str, Any] | None = None
    answer: str = "Done."
    deed: str = ""
    proof: str | None = None
    distribution: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    copied: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A line of the server's log. prompt, cached: tokens, 0 where no model was asked; finish is empty there."""

    method: str
    path: str
    status: int
    prompt: int
    cached: int
    finish: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run showed. did: the tool ran.  exit_code: None where the program did not end in time."""

    version: str
    requests: Sequence[Request]
    did: bool
    exit_code: int | None
    output: str

    @property
    def asked(self) -> list[Request]:
        """The requests that a model answered."""
        return [request for request in self.requests if request.prompt]

    @property
    def is_good(self) -> bool:
        statuses = all(request.status < 400 for request in self.asked)
        return statuses and self.did and self.exit_code == 0 and any(request.cached for request in self.asked)

    def line(self, client: Client, deed: str) -> str:
        """Everything in one line. deed: what the tool was to do."""
        counted = Counter(f"{request.method} {request.path} {request.status}" for request in self.requests)
        requests = ", ".join(f"{what} x{times}" for what, times in counted.items())
        cached = max((request.cached for request in self.asked), default=0)
        ended = "did not end" if self.exit_code is None else f"exit {self.exit_code}"
        return (
            f"{client.title} {self.version}: {requests or 'no request'}; prompt {first_asked(self.requests)} tokens; "
            f"{deed} {'done' if self.did else 'not done'}; {cached} cached; {ended}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    clients = {name: Client(**table) for name, table in tomllib.loads(TABLE.read_text()).items()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(clients)}")
    parser.add_argument("--program", action="append", default=[], metavar="CLIENT=PATH", help="where a program is")
    parser.add_argument("--picture", action="store_true", help="try the tool that reads a picture instead of the shell")
    parser.add_argument("--nano", action="store_true", help="K25-nano instead of the scripted model")
    parser.add_argument("--vocabulary", type=Path, help="folder of the tokenizer to count tokens with")
    parser.add_argument("--record", type=Path, help="file to add the requests to, a JSON line each")
    parser.add_argument("--timeout", type=float, default=180, help="seconds for each program")
    parser.add_argument("--verbose", action="store_true", help="show what the programs print")
    options = parser.parse_args(arguments)
    unknown = set(options.clients) - set(clients)
    if unknown:
        parser.error(f"{min(unknown)!r} is none of {', '.join(clients)}")
    programs = dict(item.split("=", 1) for item in options.program)
    failed = False
    for name in options.clients or clients:
        client = clients[name]
        if options.picture and client.look is None:
            print(f"{client.title}: skipped, it has no tool that reads pictures")
            continue
        program = shutil.which(programs.get(name, client.program))
        if program is None:
            print(f"{client.title}: skipped, there is no program {client.program!r} in PATH")
            continue
        outcome = try_client(client, program, options)
        call = client.look if options.picture else client.call
        print(outcome.line(client, call["name"] if call else client.deed), flush=True)
        if options.verbose or not (outcome.is_good or options.nano):
            print(outcome.output, flush=True)
        failed = failed or not (outcome.is_good or options.nano)
    return int(failed)


def try_client(client: Client, program: str, options: argparse.Namespace) -> Outcome:
    """Run `program` against a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home, work = Path(folder) / "home", Path(folder) / "work"
        home.mkdir()
        work.mkdir()
        draw(work / PICTURE)
        log = Path(folder) / "server.log"
        known = {"{here}": str(TABLE.parent), "{home}": str(home), "{work}": str(work), "{task}": TASK}
        call = json.loads(_filled(json.dumps((client.look if options.picture else client.call) or NO_CALL), known))
        with serving(client, call, log, options) as url:
            known["{url}"] = url
            env = _program_env(program, home) | {name: _filled(text, known) for name, text in client.env.items()}
            for path, text in client.files.items():
                (home / path).parent.mkdir(parents=True, exist_ok=True)
                (home / path).write_text(_filled(text, known))
            for path in client.copied:
                shutil.copy(TABLE.parent / path, work)
            version = version_of(client, program, work, env)
            command = [program, *(_filled(argument, known) for argument in client.arguments)]
            output, exit_code = _run(command, work, env, options.timeout)
            written = (work / ROUTED).read_text() if (work / ROUTED).is_file() else ""
        did = "moonlet" in written if client.proof is None else client.proof in output
        seen = requests(log)
        if options.picture:
            # What the last prompt has more than the first are the call, its result and the picture.
            did = max((later.prompt for later in seen), default=0) - first_asked(seen) >= PICTURE_TOKENS
        return Outcome(version, seen, did, exit_code, output)


def draw(path: Path) -> None:
    """A picture of PICTURE_TOKENS tokens; its colours are no matter."""
    Image.new("RGB", (20 * 28, 20 * 28), "teal").save(path)


def first_asked(seen: Sequence[Request]) -> int:
    """Prompt tokens of the request that was answered by the call; titles and the like may come before it."""
    asked = [request for request in seen if request.prompt]
    called = [request for request in asked if request.finish == "tool_calls"]
    return next((request.prompt for request in [*called, *asked]), 0)


def version_of(client: Client, program: str, work: Path, env: Mapping[str, str]) -> str:
    """What the program, or the package it comes with, says of itself."""
    if client.distribution is None:
        said, _ = _run([program, "--version"], work, env, VERSION_TIMEOUT_S)
    else:
        code = f"from importlib.metadata import version; print(version({client.distribution!r}))"
        said, _ = _run([str(Path(program).with_name("python")), "-c", code], work, env, VERSION_TIMEOUT_S)
    found = _VERSION.search(said)
    return found.group() if found else "of unknown version"


@contextmanager
def serving(client: Client, call: Mapping[str, Any], log: Path, options: argparse.Namespace) -> Iterator[str]:
    """`moonlet serve` for one client, while the block runs; gives its address."""
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    context_length = NANO_CONTEXT_LENGTH if options.nano else CONTEXT_LENGTH
    if not options.nano:
        env["MOONLET_FAKE_CALL"] = json.dumps({**call, "answer": client.answer})
    if options.picture:
        env["MOONLET_FAKE_EYES"] = "1"
    if options.vocabulary is not None:
        env["MOONLET_FAKE_VOCABULARY"] = str(options.vocabulary)
    if options.record is not None:
        env["MOONLET_FAKE_RECORD"] = str(options.record.absolute())
        env["MOONLET_FAKE_CLIENT"] = client.title
    program = ["-m", "tests.fakes.program", "serve", "--port", "0", "--context-length", str(context_length)]
    with log.open("w") as file:
        server = subprocess.Popen([sys.executable, *program], stderr=file, env=env, cwd=ROOT)
        try:
            yield _address(server, log)
        finally:
            server.terminate()
            server.wait()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, once its model is loaded."""
    while server.poll() is None:
        said = log.read_text()
        if "\nready: " in said:
            return said.partition("listening on ")[2].split()[0]
        time.sleep(0.1)
    raise SystemExit(f"the server did not start: {log.read_text()[-500:]}")


def requests(log: Path) -> list[Request]:
    """What the server's log tells, in order."""
    found = _ACCESS.findall(log.read_text())
    return [
        Request(method, path, int(status), int(prompt or 0), int(cached or 0), finish)
        for method, path, status, prompt, cached, finish in found
    ]


def _program_env(program: str, home: Path) -> dict[str, str]:
    """Nothing of the user's own settings, and the program's folder first in PATH."""
    path = os.pathsep.join([str(Path(program).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8"}


def _filled(text: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(name, value)
    return text


def _run(command: Sequence[str], work: Path, env: Mapping[str, str], timeout_s: float) -> tuple[str, int | None]:
    """What the program printed, and its exit code; None if it was ended for want of time."""
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace"), None
    return done.stdout, done.returncode


if __name__ == "__main__":
    sys.exit(main())
