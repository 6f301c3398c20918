import gc
import json
import threading

import pytest
import torch

from moonlet.chat.events import (
    ContentDelta,
    ReasoningDelta,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallStart,
)
from moonlet.chat.messages import parse_messages
from moonlet.chat.template import ChatTemplate
from moonlet.engine import Engine, SamplingParams
from moonlet.errors import ContextLengthError, MoonletError, PromptError
from tests.fakes.engines import TINY, engine_of, hashing_model, reciting_model, tiny_tokenizer

QUESTION = [{"role": "user", "content": "which one is bigger?"}]
GREEDY = SamplingParams(temperature=0)
CALL = (
    "Look it up.</think><|tool_calls_section_begin|><|tool_call_begin|>functions.find:0<|tool_call_argument_begin|>"
    '{"q": "x"}<|tool_call_end|><|tool_calls_section_end|>'
)
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]


def held_pages(engine) -> int:
    engine.forget()
    pool = engine._worker.core.pool
    pool.check()
    return pool.allocator.num_held


def test_a_reply_has_reasoning_content_and_usage():
    engine = engine_of(reciting_model("Compare.</think>9.9 is bigger."))
    reply = engine.chat(QUESTION, sampling=GREEDY)
    assert (reply.reasoning, reply.content) == ("Compare.", "9.9 is bigger.")
    assert reply.finish_reason == "stop"
    tokenizer = tiny_tokenizer()
    assert reply.token_ids[-1] == tokenizer.im_end_id
    assert tokenizer.decode(reply.token_ids) == "Compare.</think>9.9 is bigger.<|im_end|>"
    usage = reply.usage
    assert usage.completion_tokens == len(reply.token_ids)
    assert usage.reasoning_tokens == len(tokenizer.encode("Compare."))
    assert usage.cached_tokens == 0
    timings = reply.timings
    assert 0 < timings.ttft_s < timings.total_s
    assert timings.prefill_tokens_per_s > 0
    assert timings.decode_tokens_per_s > 0


def test_an_answer_and_a_call_are_held_to_what_was_asked():
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": True}}
    rambling = engine_of(hashing_model())  # alone it would say anything
    answer = rambling.chat(QUESTION, thinking=False, response_format=wanted, sampling=SamplingParams(seed=1))
    assert json.loads(answer.content)["n"] in (1, 2)
    forced = rambling.chat(
        QUESTION, thinking=False, tools=TOOLS, tool_choice="required", sampling=SamplingParams(seed=1, max_tokens=400)
    )
    assert forced.tool_calls[0].name == "find"
    assert isinstance(json.loads(forced.tool_calls[0].arguments), dict)
    with pytest.raises(PromptError, match="tool_choice: found 'soon', expected auto"):
        engine_of(hashing_model()).chat(QUESTION, tool_choice="soon")


def test_instant_mode_has_no_reasoning():
    reply = engine_of(reciting_model("9.9")).chat(QUESTION, thinking=False, sampling=GREEDY)
    assert (reply.reasoning, reply.content, reply.usage.reasoning_tokens) == ("", "9.9", 0)


def test_the_stream_and_the_whole_are_the_same():
    engine = engine_of(reciting_model("Compare é→.</think>9.9 → é."))
    with engine.stream_chat(QUESTION, sampling=GREEDY) as stream:
        events = list(stream)
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == stream.reply.reasoning
    assert "".join(event.text for event in events if isinstance(event, ContentDelta)) == stream.reply.content
    assert stream.reply.content == "9.9 → é."


def test_history_with_reasoning_and_tool_calls_goes_on_from_the_cache():
    engine = engine_of(reciting_model(CALL, "Found.</think>It is there."))
    first = engine.chat(QUESTION, tools=TOOLS, sampling=GREEDY)
    assert first.finish_reason == "tool_calls"
    assert [(c.id, c.name, c.arguments) for c in first.tool_calls] == [("functions.find:0", "find", '{"q": "x"}')]
    history = [
        *QUESTION,
        first.to_message(),
        {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "here"},
    ]
    second = engine.chat(history, tools=TOOLS, sampling=GREEDY)
    assert second.content == "It is there."
    # All of the first turn but its last token, which was sampled and never computed.
    assert second.usage.cached_tokens >= first.usage.prompt_tokens + first.usage.completion_tokens - 1
    assert engine.chat(parse_messages(history), tools=TOOLS, sampling=GREEDY).content == "It is there."


def test_a_sampled_spelling_is_read_back_from_the_cache():
    """The model spells its reply byte by byte, as no tokenizer would; the next turn computes what is new alone."""
    tokenizer = tiny_tokenizer()
    byte_ids = {tokenizer.token_bytes(token_id): token_id for token_id in range(tokenizer.vocab_size)}
    said = [byte_ids[bytes([byte])] for byte in b"Look it up."]
    call = tokenizer.encode_with_specials(CALL[len("Look it up.") :])
    model = reciting_model("", "Found.</think>It is there.")
    recite = model.script

    def script(context):
        told = [*said, *call]
        start = len(context) - context[::-1].index(tokenizer.think_id)
        if context.count(tokenizer.special_ids["<|im_assistant|>"]) > 1 or len(context) - start >= len(told):
            return recite(context)
        return torch.nn.functional.one_hot(torch.tensor(told[len(context) - start]), tokenizer.vocab_size) * 50.0

    model.script = script
    engine = engine_of(model)
    first = engine.chat(QUESTION, tools=TOOLS, sampling=GREEDY)
    assert list(first.token_ids[: len(said)]) == said != tokenizer.encode("Look it up.")
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "here"}
    second = engine.chat([*QUESTION, first.to_message(), result], tools=TOOLS, sampling=GREEDY)
    assert second.content == "It is there."
    assert second.usage.cached_tokens == first.usage.total_tokens - 1


def test_tool_calls_stream_as_events_in_order():
    with engine_of(reciting_model(CALL)).stream_chat(QUESTION, tools=TOOLS, sampling=GREEDY) as stream:
        events = [event for event in stream if not isinstance(event, ReasoningDelta)]
    assert events[0] == ToolCallStart(0, "functions.find:0", "find")
    assert events[-1] == ToolCallEnd(0)
    assert "".join(event.text for event in events if isinstance(event, ToolCallArguments)) == '{"q": "x"}'


def test_a_stop_string_ends_the_answer_across_tokens_and_is_not_shown():
    engine = engine_of(reciting_model("One STOP two.</think>Three STOP four."))
    reply = engine.chat(QUESTION, sampling=SamplingParams(temperature=0, stop=("ee ST", "never")))
    assert reply.reasoning == "One STOP two.", "thinking is not searched"
    assert (reply.content, reply.finish_reason) == ("Thr", "stop")
    assert held_pages(engine) == 0


def test_a_held_back_beginning_of_a_stop_string_is_delivered_at_the_end():
    reply = engine_of(reciting_model("</think>Three ST")).chat(
        QUESTION, sampling=SamplingParams(temperature=0, stop=("STOP",))
    )
    assert (reply.content, reply.finish_reason) == ("Three ST", "stop")


def test_a_stop_id_ends_the_reply():
    stop_id = tiny_tokenizer().encode("!")[0]
    reply = engine_of(reciting_model("</think>yes! no")).chat(
        QUESTION, sampling=SamplingParams(temperature=0, stop_token_ids=(stop_id,))
    )
    assert (reply.content, reply.finish_reason) == ("yes", "stop")


@pytest.mark.parametrize("end", ["<|im_end|>", "[EOS]", "[EOT]"])
def test_every_end_of_turn_ends_the_reply(end):
    reply = engine_of(reciting_model(f"</think>yes{end}no")).chat(QUESTION, sampling=GREEDY)
    assert (reply.content, reply.finish_reason) == ("yes", "stop")


def test_ends_of_turn_can_be_ignored():
    reply = engine_of(reciting_model("</think>yes<|im_end|>no")).chat(
        QUESTION, sampling=SamplingParams(temperature=0, ignore_eos=True, max_tokens=12)
    )
    assert reply.content == "yesno"
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 12)


def test_max_tokens_counts_thinking_too():
    reply = engine_of(reciting_model("Compare.</think>9.9")).chat(
        QUESTION, sampling=SamplingParams(temperature=0, max_tokens=3)
    )
    assert reply.finish_reason == "length"
    assert reply.usage.completion_tokens == reply.usage.reasoning_tokens == 3
    assert reply.content == ""


def test_the_context_is_filled_to_its_last_token():
    engine = engine_of(hashing_model(), context_length=64, chunk_size=10)
    result = engine.generate([1] * 50, SamplingParams(ignore_eos=True, max_tokens=1000))
    assert (result.usage.completion_tokens, result.finish_reason) == (14, "length")


def test_a_prompt_longer_than_the_context_is_refused_before_anything_runs():
    model = hashing_model()
    engine = engine_of(model, context_length=64)
    with pytest.raises(ContextLengthError, match=r"prompt: \d+ tokens, the context holds 64"):
        engine.stream_chat([{"role": "user", "content": "a b c " * 100}])
    assert model.pass_sizes == []
    assert held_pages(engine) == 0


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([], "messages"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\].role"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
            "no vision tower and reads text only",
        ),
    ],
)
def test_messages_that_cannot_be_obeyed_are_refused_by_name(messages, match):
    with pytest.raises(PromptError, match=match):
        engine_of(hashing_model()).chat(messages)


def test_an_unknown_stop_id_is_refused():
    with pytest.raises(PromptError, match="stop_token_ids: found 640, expected ids from 0 to 639"):
        engine_of(hashing_model()).generate("x", SamplingParams(stop_token_ids=(640,)))


def test_cancel_ends_within_one_forward_pass():
    model = reciting_model("</think>" + "word " * 100)
    engine = engine_of(model)
    with engine.stream_chat(QUESTION, sampling=GREEDY) as stream:
        for _ in range(5):
            next(stream)
        passes = len(model.pass_sizes)
        stream.cancel()
        list(stream)
    assert len(model.pass_sizes) == passes
    assert stream.reply.finish_reason == "cancelled"
    assert stream.reply.content.startswith("word")
    assert held_pages(engine) == 0


def test_cancel_from_another_thread_stops_a_long_prefill_between_chunks():
    model = hashing_model()
    engine = engine_of(model, chunk_size=10, context_length=1024)
    stream = engine.stream_generate([1] * 900)
    reached, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        if len(model.pass_sizes) == 3:
            reached.set()
            go_on.wait(10)

    model.before_pass = pause
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    assert reached.wait(10)
    stream.cancel()
    go_on.set()
    reader.join(10)
    assert model.pass_sizes == [10, 10, 10, 10]
    assert (stream.completion.finish_reason, stream.completion.text) == ("cancelled", "")
    # What was computed is not computed again.
    assert engine.generate([1] * 900, SamplingParams(max_tokens=1)).usage.cached_tokens == 40


@pytest.mark.parametrize("num_items", [0, 1, 5])
def test_closing_or_dropping_a_stream_frees_its_pages(num_items):
    engine = engine_of(reciting_model("</think>" + "word " * 100))
    closed, dropped = (engine.stream_chat(QUESTION, sampling=GREEDY) for _ in range(2))
    for stream in (closed, dropped):
        for _ in range(num_items):
            next(stream)
    closed.close()
    closed.close()
    assert closed.reply.finish_reason == "cancelled"
    with pytest.raises(StopIteration):
        next(closed)
    del stream, dropped
    gc.collect()
    assert held_pages(engine) == 0


def test_an_error_in_the_model_reaches_the_caller_and_frees_the_pages():
    model = reciting_model("</think>word word")
    engine = engine_of(model)

    def fail() -> None:
        if len(model.pass_sizes) == 4:
            raise ValueError("broken")

    model.before_pass = fail
    with pytest.raises(ValueError, match="broken"):
        engine.chat(QUESTION, sampling=GREEDY)
    assert engine._worker.core.pool.allocator.num_held == 0


def test_the_reply_of_an_unfinished_stream_is_refused():
    stream = engine_of(reciting_model("</think>x")).stream_chat(QUESTION)
    with pytest.raises(MoonletError, match="not finished"):
        _ = stream.reply


def test_two_streams_may_be_open_at_once():
    engine = engine_of(hashing_model())
    params = SamplingParams(seed=1, max_tokens=20, ignore_eos=True)
    alone = [engine.generate(prompt, params).token_ids for prompt in ("one", "two")]
    streams = [engine.stream_generate(prompt, params) for prompt in ("one", "two")]
    open_streams = list(streams)
    while open_streams:
        open_streams = [stream for stream in open_streams if next(stream, None) is not None]
    assert [stream.completion.token_ids for stream in streams] == alone


def test_prefill_progress_is_reported():
    seen = []
    engine = engine_of(hashing_model(), chunk_size=10)
    stream = engine.stream_generate(
        [1] * 25, SamplingParams(max_tokens=2), on_prefill=lambda done, total: seen.append((done, total))
    )
    list(stream)
    assert seen == [(10, 25), (20, 25), (25, 25)]


def test_a_drawn_seed_is_reported_and_repeats_the_reply():
    engine = engine_of(hashing_model())
    first = engine.generate("hello", SamplingParams(max_tokens=20, ignore_eos=True))
    again = engine.generate("hello", SamplingParams(max_tokens=20, ignore_eos=True, seed=first.seed))
    assert again.token_ids == first.token_ids
    assert engine.generate("hello", SamplingParams(max_tokens=20, ignore_eos=True)).seed != first.seed


def test_logprobs_cover_every_token():
    result = engine_of(hashing_model()).generate("hello", SamplingParams(max_tokens=6, logprobs=2, ignore_eos=True))
    assert [entry.token_id for entry in result.logprobs] == list(result.token_ids)
    for entry in result.logprobs:
        assert entry.token_bytes == tiny_tokenizer().token_bytes(entry.token_id)
        assert len(entry.top) == 2
        assert entry.logprob <= entry.top[0].logprob < 0
    assert engine_of(hashing_model()).generate("hello", SamplingParams(max_tokens=2)).logprobs is None


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 4096])
def test_chunking_changes_nothing(chunk_size):
    prompt = [(7 * i) % 640 for i in range(300)]
    params = SamplingParams(seed=5, max_tokens=10, logprobs=3, ignore_eos=True)
    result = engine_of(hashing_model(), chunk_size=chunk_size).generate(prompt, params)
    whole = engine_of(hashing_model(), chunk_size=512).generate(prompt, params)
    assert (result.token_ids, result.logprobs) == (whole.token_ids, whole.logprobs)


def test_text_never_ends_inside_a_character():
    reply = engine_of(reciting_model("</think>é→😀")).stream_chat(QUESTION, sampling=GREEDY)
    pieces = [event.text for event in reply]
    assert "".join(pieces) == "é→😀"
    assert "\ufffd" not in "".join(pieces)


def test_special_tokens_spelt_in_a_raw_prompt_stay_text():
    engine = engine_of(hashing_model())
    result = engine.generate("<|im_end|>", SamplingParams(max_tokens=1))
    assert result.usage.prompt_tokens == len(tiny_tokenizer().encode("<|im_end|>")) > 1


def test_a_model_that_asks_for_greedy_is_greedy_unless_told_otherwise():
    tokenizer = tiny_tokenizer()
    template = ChatTemplate.from_dir(TINY, tokenizer)
    greedy = Engine(hashing_model(), tokenizer, template, context_length=256, chunk_size=64, is_greedy_by_default=True)
    assert greedy.default_sampling(True).temperature == greedy.default_sampling(False).temperature == 0
    first, second = (greedy.generate([1, 2, 3], SamplingParams(temperature=0, max_tokens=9)) for _ in range(2))
    assert first.token_ids == second.token_ids
    assert greedy.generate([1, 2, 3]).token_ids[:9] == first.token_ids
    sampled = engine_of(hashing_model())
    assert (sampled.default_sampling(True).temperature, sampled.default_sampling(False).temperature) == (1.0, 0.6)
