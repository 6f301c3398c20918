from moonlet.engine.batch import Chunk, build_batch
from moonlet.engine.sequence import Sequence


def test_a_prefill_chunk_and_a_decode_step_share_a_batch():
    prefilling = Sequence(token_ids=list(range(100, 200)), num_prompt_tokens=100, num_computed=62, pages=[7, 2])
    decoding = Sequence(token_ids=[5, 6, 7], num_prompt_tokens=2, num_computed=2, pages=[9])
    batch = build_batch([Chunk(prefilling, 4), Chunk(decoding, 1)])
    assert batch.input_ids.tolist() == [162, 163, 164, 165, 7]
    assert batch.positions.tolist() == [62, 63, 64, 65, 2]
    assert batch.slots.tolist() == [7 * 64 + 62, 7 * 64 + 63, 2 * 64, 2 * 64 + 1, 9 * 64 + 2]
    assert batch.page_tables.tolist() == [[7, 2], [9, 0]]
    assert batch.seq_idx.tolist() == [0, 0, 0, 0, 1]
    assert batch.context_lens.tolist() == [63, 64, 65, 66, 3]
    assert batch.logits_rows.tolist() == [4]


def test_logits_are_wanted_only_where_a_sequence_ends():
    sequence = Sequence(token_ids=[1, 2, 3], num_prompt_tokens=3, pages=[0])
    assert build_batch([Chunk(sequence, 2)]).logits_rows.tolist() == []
    assert build_batch([Chunk(sequence, 3)]).logits_rows.tolist() == [2]


def test_pages_wanted_counts_the_edge_of_a_page_once():
    sequence = Sequence(token_ids=list(range(200)), num_prompt_tokens=200, num_computed=63, pages=[4])
    assert sequence.pages_wanted(1) == 0
    assert sequence.pages_wanted(2) == 1
    assert sequence.pages_wanted(1 + 64) == 1
    assert sequence.pages_wanted(2 + 64) == 2
