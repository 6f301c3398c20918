"""Token by token to text, holding back the bytes of a character until all of them have come."""

from __future__ import annotations

import codecs

from moonlet.chat.tokenizer import Tokenizer


class Detokenizer:
    """Turns a stream of token ids into a stream of text. What `push` and `flush` return joins to `Tokenizer.decode`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that `token_id` completes: whole characters only, "" while one is still open.

        Bytes that can no longer become UTF-8 give U+FFFD. Raises PromptError for an id outside the vocabulary.
        """
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """End of the stream, or of a stretch of it: U+FFFD if a character was left open, else ""."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text
