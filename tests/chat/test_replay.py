from moonlet.chat.replay import ReplayMemory
from tests.fakes.engines import tiny_tokenizer

PROMPT = "<|im_user|>user<|im_middle|>hi<|im_end|><|im_assistant|>assistant<|im_middle|><think>"


def odd_spelling(text: str) -> list[int]:
    """The ids of `text`, one byte each where the tokenizer would merge."""
    tokenizer = tiny_tokenizer()
    byte_ids = {tokenizer.token_bytes(token_id): token_id for token_id in range(tokenizer.vocab_size)}
    return [byte_ids[bytes([byte])] for byte in text.encode()]


def test_a_reply_is_read_back_as_it_was_emitted():
    tokenizer = tiny_tokenizer()
    memory = ReplayMemory(tokenizer, 1000)
    prompt = tokenizer.encode_with_specials(PROMPT)
    emitted = [*odd_spelling("the thing"), tokenizer.end_think_id, *odd_spelling("yes there"), tokenizer.im_end_id]
    history = tokenizer.split_specials(PROMPT + "the thing</think>yes there<|im_end|><|im_user|>and?")
    assert memory.encode(history) == tokenizer.encode_pieces(history)
    memory.remember(prompt, emitted)
    after = tokenizer.encode_with_specials("<|im_user|>and?")
    assert memory.encode(history) == [*prompt, *emitted, *after]
    assert tokenizer.encode_pieces(history) != [*prompt, *emitted, *after]


def test_another_text_or_another_prompt_is_encoded_as_it_is():
    tokenizer = tiny_tokenizer()
    memory = ReplayMemory(tokenizer, 1000)
    memory.remember(tokenizer.encode_with_specials(PROMPT), odd_spelling("the thing"))
    for text in (PROMPT + "the things<|im_end|>", PROMPT, PROMPT.replace(">hi<", ">ho<") + "the thing<|im_end|>"):
        pieces = tokenizer.split_specials(text)
        assert memory.encode(pieces) == tokenizer.encode_pieces(pieces)


def test_the_oldest_reply_goes_when_there_are_too_many_tokens():
    tokenizer = tiny_tokenizer()
    memory = ReplayMemory(tokenizer, 20)
    prompts = [PROMPT.replace(">hi<", f">{name}<") for name in ("a", "b", "c")]
    for prompt in prompts:
        memory.remember(tokenizer.encode_with_specials(prompt), odd_spelling("the thing"))
    replayed = [
        memory.encode(pieces) != tokenizer.encode_pieces(pieces)
        for pieces in (tokenizer.split_specials(prompt + "the thing<|im_end|>") for prompt in prompts)
    ]
    assert replayed == [False, True, True]
