"""Tool tasks: calls that their tools' schemas allow, chains that hang together, and a judge that follows every call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from moonlet.chat.messages import ToolCall as MadeCall
from moonlet.chat.tools import parse_tools
from moonlet.train.answer import EngineAnswerer
from moonlet.train.conversation import Conversation
from moonlet.train.tasks import TOOL_TASKS, Problem, Task
from moonlet.train.tasks.extract_json import ExtractJson
from moonlet.train.tasks.tool_call import ToolCall
from moonlet.train.tasks.tool_chain import ToolChain
from moonlet.train.tasks.tool_refuse import ToolRefuse


def problems(task: Task, count: int = 300) -> list[Problem]:
    rng = Random(task.name)
    return [task.sample(rng, rng.random()) for _ in range(count)]


@pytest.mark.parametrize("task", TOOL_TASKS, ids=lambda task: task.name)
def test_declarations_are_read_and_every_call_is_valid_under_its_tool(task: Task) -> None:
    for problem in problems(task):
        tools = parse_tools([tool.declared() for tool in problem.tools])
        assert len(tools) <= 5
        schemas = {tool.name: tool.parameters for tool in tools}
        calls = [*problem.calls, *(call for turn in problem.lead for call in turn.calls)]
        for call in calls:
            Draft202012Validator(schemas[call.name]).validate(json.loads(call.arguments))


def test_one_call_answers_and_its_arguments_were_asked_for() -> None:
    for problem in problems(ToolCall()):
        (call,) = problem.calls
        for value in json.loads(call.arguments).values():
            if not isinstance(value, bool):
                assert str(value) in problem.user


def test_a_chain_has_two_to_four_calls_and_each_argument_was_asked_for_or_found() -> None:
    lengths = set()
    for problem in problems(ToolChain()):
        lengths.add(len(problem.calls))
        known = problem.user
        for call in problem.calls:
            for value in json.loads(call.arguments).values():
                assert str(value) in known, problem
            known += " " + call.result
    assert lengths == {2, 3, 4}


def test_the_work_before_a_call_passes_the_tools_in_order_up_to_the_one_called() -> None:
    for task in (ToolCall(), ToolChain()):
        for problem in problems(task, 100):
            names = [tool.name for tool in problem.tools]
            for call in problem.calls:
                if call.work:
                    verdicts = call.work.rpartition(": ")[2].removesuffix(".").split(", ")
                    at = names.index(call.name)
                    assert verdicts == [f"{name} no" for name in names[:at]] + [f"{call.name} yes"]


def test_to_refuse_is_to_have_tools_and_to_call_none() -> None:
    for problem in problems(ToolRefuse()):
        assert problem.tools
        assert not problem.calls
        assert problem.answer == "I have no tool for that."
        assert problem.thinking.count(" no") >= len(problem.tools)


def test_json_holds_what_the_text_says_and_null_where_it_does_not() -> None:
    with_null = 0
    for problem in problems(ExtractJson()):
        found = json.loads(problem.answer)
        Draft202012Validator(problem.schema).validate(found)
        assert all(str(value) in problem.user for value in found.values() if value is not None)
        with_null += None in found.values()
    assert with_null > 10


@pytest.mark.parametrize(
    ("reply", "grade", "right"),
    [
        ('{"name": "Ada", "age": 34}', 1.0, True),
        ('{"age":34,"name":"Ada"}', 1.0, True),
        ('{"name": "Ada", "age": 35}', 1.0, False),
        ('{"name": "Ada", "age": "34"}', 0.0, False),
        ('{"name": "Ada", "age": true}', 0.0, False),
        ('{"name": "Ada"}', 0.0, False),
        ('{"name": "Ada", "age": 34, "city": null}', 0.0, False),
        ('{"name": "Ada", "age": 34', 0.0, False),
        ("[]", 0.0, False),
    ],
)
def test_json_is_graded_by_its_schema_and_judged_by_its_values(reply: str, grade: float, right: bool) -> None:
    properties = {"name": {"type": ["string", "null"]}, "age": {"type": ["integer", "null"]}}
    schema = {"type": "object", "properties": properties, "required": ["name", "age"], "additionalProperties": False}
    answer = '{"name": "Ada", "age": 34}'
    problem = Problem("k", "", "", answer, answer, answer, schema=schema)
    assert ExtractJson().grade(problem, reply) == grade
    assert ExtractJson().is_correct(problem, reply) is right


class Scripted:
    """Stands for an `LLM`: plays given replies, and keeps the messages it was asked with."""

    def __init__(self, replies: Iterator[Any]) -> None:
        self._replies = replies
        self.asked: list[list[dict[str, Any]]] = []

    def chat(self, messages: list[dict[str, Any]], **_: object) -> Any:
        self.asked.append(list(messages))
        return next(self._replies)


def calling(name: str, arguments: str) -> Any:
    call = MadeCall(f"functions.{name}:0", name, arguments)
    message = {"role": "assistant", "content": "", "tool_calls": []}
    return SimpleNamespace(tool_calls=(call,), content="", finish_reason="tool_calls", to_message=lambda: message)


def saying(text: str) -> Any:
    return SimpleNamespace(tool_calls=(), content=text, finish_reason="stop")


def chain() -> Problem:
    return next(problem for problem in problems(ToolChain()) if len(problem.calls) == 3)


def judged(problem: Problem, *replies: Any) -> tuple[str | None, Scripted]:
    llm = Scripted(iter(replies))
    (answer,) = EngineAnswerer(llm).answers([Conversation(problem, thinks=True)], 10)  # type: ignore[arg-type]
    return answer, llm


def test_right_calls_get_their_results_and_the_answer_counts() -> None:
    problem = chain()
    spaced = [json.dumps(json.loads(call.arguments), indent=1) for call in problem.calls]
    made = [calling(call.name, text) for call, text in zip(problem.calls, spaced, strict=True)]
    answer, llm = judged(problem, *made, saying(problem.answer))
    assert answer == problem.answer
    assert [messages[-1]["content"] for messages in llm.asked[1:]] == [call.result for call in problem.calls]


def test_a_wrong_call_a_missing_one_and_one_too_many_are_no_answer() -> None:
    problem = chain()
    first, second, third = problem.calls
    good = [calling(call.name, call.arguments) for call in problem.calls]
    assert judged(problem, calling("no_such_tool", first.arguments))[0] is None
    assert judged(problem, calling(first.name, "{}"))[0] is None
    assert judged(problem, calling(first.name, "{"))[0] is None
    assert judged(problem, good[0], saying(problem.answer))[0] is None
    assert judged(problem, *good, calling(third.name, second.arguments))[0] is None
