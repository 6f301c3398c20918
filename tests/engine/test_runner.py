import random

import pytest

from moonlet.engine.runner import Runner
from moonlet.errors import ContextLengthError, PromptError
from tests.fakes.engines import hashing_model

VOCAB = 640


def runner_of(context_length: int = 1024, chunk_size: int = 100) -> Runner:
    return Runner(hashing_model(), context_length=context_length, chunk_size=chunk_size)


def run(runner: Runner, prompt: list[int], num_tokens: int) -> list[int]:
    """Greedy tokens after `prompt`; the sequence is finished."""
    sequence = runner.admit(prompt)
    while len(sequence.token_ids) < len(prompt) + num_tokens:
        logits = runner.step(sequence)
        if logits is not None:
            sequence.token_ids.append(int(logits.argmax()))
    runner.finish(sequence)
    return sequence.token_ids[len(prompt) :]


def test_the_prompt_is_computed_in_chunks_and_then_token_by_token():
    model = hashing_model()
    runner = Runner(model, context_length=1024, chunk_size=100)
    run(runner, list(range(250)), 4)
    assert model.pass_sizes == [100, 100, 50, 1, 1, 1]


def test_a_prompt_that_begins_like_the_last_sequence_reuses_its_pages():
    model = hashing_model()
    runner = Runner(model, context_length=1024, chunk_size=1000)
    prompt = [i % VOCAB for i in range(200)]
    reply = run(runner, prompt, 10)
    follow_up = prompt + reply + [1, 2, 3]
    model.pass_sizes.clear()
    cached = run(runner, follow_up, 5)
    # The last token of the reply was sampled but not computed.
    assert model.pass_sizes[0] == len(follow_up) - 209
    assert cached == run(runner_of(), follow_up, 5)
    # The same prompt again: all but its last token is there.
    model.pass_sizes.clear()
    assert run(runner, follow_up, 5) == cached
    assert model.pass_sizes[0] == 1
    runner.forget()
    assert runner.allocator.num_held == 0


def test_a_prompt_that_parts_inside_a_page_reuses_what_is_common():
    model = hashing_model()
    runner = Runner(model, context_length=1024, chunk_size=1000)
    run(runner, [7] * 150, 1)
    model.pass_sizes.clear()
    other = [7] * 100 + [8] * 100
    assert run(runner, other, 3) == run(runner_of(), other, 3)
    assert model.pass_sizes[0] == 100


def test_pages_are_freed_after_an_error_in_the_model_and_nothing_is_kept():
    model = hashing_model()
    runner = Runner(model, context_length=1024, chunk_size=100)
    sequence = runner.admit([1] * 300)
    runner.step(sequence)
    runner.abandon(sequence)
    runner.abandon(sequence)
    assert runner.allocator.num_held == 0
    model.pass_sizes.clear()
    run(runner, [1] * 300, 1)
    assert model.pass_sizes == [100, 100, 100]


def test_an_interrupted_pass_is_repeated_into_the_same_slots():
    model = hashing_model()
    runner = Runner(model, context_length=1024, chunk_size=100)
    sequence = runner.admit(list(range(150)))
    runner.step(sequence)

    def interrupt() -> None:
        raise KeyboardInterrupt

    model.before_pass = interrupt
    with pytest.raises(KeyboardInterrupt):
        runner.step(sequence)
    model.before_pass = lambda: None
    logits = runner.step(sequence)
    assert logits is not None
    assert [int(logits.argmax())] == run(runner_of(), list(range(150)), 1)


def test_open_sequences_share_the_pool_and_a_full_one_says_who_holds_it():
    runner = runner_of(context_length=320)
    first, second = runner.admit([1] * 150), runner.admit([2] * 150)
    for _ in range(2):
        runner.step(first)
    runner.step(second)  # 100 tokens: the fifth page is missing for the rest
    with pytest.raises(PromptError, match="cache of 320 tokens is full: 1 other replies are open"):
        runner.step(second)
    runner.finish(first)
    assert runner.step(second) is not None, "the kept prefix gives way"
    runner.finish(second)
    runner.forget()
    runner.allocator.check()
    assert runner.allocator.num_held == 0


def test_a_prompt_that_cannot_run_is_refused_with_numbers():
    runner = runner_of(context_length=128)
    with pytest.raises(ContextLengthError, match=r"prompt: 128 tokens, the context holds 128 .* 4096"):
        runner.check_prompt([1] * 128)
    runner.check_prompt([1] * 127)
    with pytest.raises(PromptError, match="no tokens"):
        runner.check_prompt([])
    for bad in (-1, VOCAB):
        with pytest.raises(PromptError, match=f"found token id {bad}, expected ids from 0 to 639"):
            runner.check_prompt([1, bad])


def test_no_page_is_lost_over_random_conversations():
    rng = random.Random(2)
    runner = runner_of(context_length=512, chunk_size=50)
    open_sequences = []
    prompt: list[int] = []
    for _ in range(300):
        action = rng.random()
        if action < 0.3 and len(open_sequences) < 3:
            prompt = prompt[: rng.randrange(len(prompt) + 1)] + rng.choices(range(VOCAB), k=rng.randint(1, 100))
            prompt = prompt[-200:]
            open_sequences.append(runner.admit(prompt))
        elif open_sequences:
            sequence = rng.choice(open_sequences)
            if action < 0.85 and sequence.num_uncomputed and sequence.num_computed < 400:
                try:
                    logits = runner.step(sequence)
                except PromptError:
                    continue
                if logits is not None:
                    sequence.token_ids.append(int(logits.argmax()))
            else:
                open_sequences.remove(sequence)
                (runner.finish if action < 0.97 else runner.abandon)(sequence)
        runner.allocator.check()
    for sequence in open_sequences:
        runner.finish(sequence)
    runner.forget()
    assert runner.allocator.num_held == 0
