#include "mla/mla.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

// Shared memory for queries and partial results of the tokens in flight; more tokens go in several rounds.
constexpr int64_t kRoundBytes = 32 << 20;
// Tokens that share one pass over a head's W_uk or W_uv.
constexpr int64_t kProjectTokens = 48;
// Heads of one item: at least so many, which use an expanded page row that often and still divide 16 heads of one token
// evenly among two threads (six did not: 385 us against 328 at a context of 512); at most what keeps their queries and
// sums in L2 beside the page (24 heads of 512 + 576 floats: 104 KiB; the page: 72 KiB).
constexpr int64_t kMinHeads = 4;
constexpr int64_t kMaxHeads = 24;
// Multiply-adds below which a second thread costs more than it brings.
constexpr int64_t kWorthSharing = 64 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Attention {
    int64_t num_heads, nope, rope, v_head_dim, kv_lora_rank, width, max_pages;
    float softmax_scale;
    const float* q_nope;
    const float* q_rope;
    const bf16* kv_b;
    const f16* pages;
    const int32_t* page_tables;
    const int32_t* seq_idx;
    const int32_t* context_lens;
    float* out;

    const bf16* head_weights(int64_t head) const { return kv_b + head * (nope + v_head_dim) * kv_lora_rank; }
};

struct Functions {
    decltype(&scalar::mla_absorb) absorb;
    decltype(&scalar::mla_attend_span) attend_span;
    decltype(&scalar::mla_join) join;
    decltype(&scalar::mla_finish) finish;
};

// Partial results of rows (token of the round, head), one array each.
struct PartialRows {
    float* out;
    float* max;
    float* sum;

    static int64_t floats(int64_t rows, int64_t kv_lora_rank) { return rows * (kv_lora_rank + 2); }
    PartialRows(float* memory, int64_t rows, int64_t kv_lora_rank)
        : out(memory), max(memory + rows * kv_lora_rank), sum(max + rows) {}
    Partial at(int64_t row, int64_t kv_lora_rank) const { return {out + row * kv_lora_rank, max + row, sum + row}; }
};

// The tokens [first, first + count) of a call, in three loops: queries, spans, outputs.
class Round {
  public:
    Round(Runtime& runtime, const Functions& run, const Attention& a, int64_t first, int64_t count)
        : runtime_(runtime), run_(run), a_(a), first_(first), count_(count) {
        for (int64_t t = first; t < first + count; ++t) longest_ = std::max<int64_t>(longest_, a.context_lens[t]);
        num_spans_ = ceil_div(longest_, kSpanPages * kPageSize);
        const int64_t shares = ceil_div(count * a.num_heads, 4 * runtime.num_threads());
        group_heads_ = std::clamp(ceil_div(shares, kMinHeads) * kMinHeads, kMinHeads, kMaxHeads);
        num_groups_ = ceil_div(a.num_heads, group_heads_);
        // Few tokens and heads: several spans at once, so that all workers have something to do.
        spans_at_once_ = std::min(num_spans_, ceil_div(4 * runtime.num_threads(), count * num_groups_));
    }

    void compute() {
        const int64_t rows = count_ * a_.num_heads;
        const int64_t partial = PartialRows::floats(rows, a_.kv_lora_rank);
        const int64_t num_partials = num_spans_ == 1 ? 1 : 1 + spans_at_once_;
        float* memory = static_cast<float*>(
            runtime_.reserve_shared(static_cast<size_t>(rows * a_.width + num_partials * partial) * sizeof(float)));
        runtime_.reserve_scratch(static_cast<size_t>(attend_scratch_floats(group_heads_)) * sizeof(float));
        query_ = memory;
        const PartialRows total(memory + rows * a_.width, rows, a_.kv_lora_rank);
        make_queries();
        if (num_spans_ == 1) {
            attend(0, 1, &total);
        } else {
            std::vector<PartialRows> parts;
            for (int64_t i = 0; i < spans_at_once_; ++i)
                parts.emplace_back(total.out + (i + 1) * partial, rows, a_.kv_lora_rank);
            for (int64_t span = 0; span < num_spans_; span += spans_at_once_) {
                const int64_t num = std::min(spans_at_once_, num_spans_ - span);
                attend(span, num, parts.data());
                join(span, num, parts.data(), total);
            }
        }
        finish(total);
    }

  private:
    // One head for a block of tokens is an item: its part of kv_b is read once for all of them.
    template <class Body>
    void for_head_and_tokens(int64_t work_per_token, const Body& body) {
        const int64_t blocks = ceil_div(count_, kProjectTokens);
        const int64_t work = work_per_token * std::min(count_, kProjectTokens);
        runtime_.parallel_for(a_.num_heads * blocks, std::max<int64_t>(1, kWorthSharing / work),
                              [&](int64_t begin, int64_t end, int) {
                                  for (int64_t item = begin; item < end; ++item) {
                                      const int64_t token = item % blocks * kProjectTokens;
                                      body(item / blocks, token, std::min(kProjectTokens, count_ - token));
                                  }
                              });
    }

    void make_queries() {
        const int64_t query_stride = a_.num_heads * a_.width;
        for_head_and_tokens(a_.nope * a_.kv_lora_rank, [&](int64_t head, int64_t token, int64_t num_tokens) {
            const int64_t from = (first_ + token) * a_.num_heads + head;
            float* query = query_ + (token * a_.num_heads + head) * a_.width;
            run_.absorb({a_.q_nope + from * a_.nope, a_.num_heads * a_.nope, num_tokens, a_.nope, a_.head_weights(head),
                         a_.kv_lora_rank, query, query_stride});
            for (int64_t t = 0; t < num_tokens; ++t) {
                std::memcpy(query + t * query_stride + a_.kv_lora_rank, a_.q_rope + (from + t * a_.num_heads) * a_.rope,
                            static_cast<size_t>(a_.rope) * sizeof(float));
            }
        });
    }

    // Spans [span, span + num) of every token, the i-th into parts[i].
    void attend(int64_t span, int64_t num, const PartialRows* parts) {
        const int64_t work = std::min(group_heads_, a_.num_heads) * std::min(longest_, kSpanPages * kPageSize) *
                             (a_.width + a_.kv_lora_rank);
        runtime_.parallel_for(
            count_ * num_groups_ * num, std::max<int64_t>(1, kWorthSharing / work),
            [&](int64_t begin, int64_t end, int worker_idx) {
                for (int64_t item = begin; item < end; ++item) {
                    const int64_t token = item / (num_groups_ * num);
                    const int64_t head = item / num % num_groups_ * group_heads_;
                    const int64_t i = item % num;
                    const int64_t start_page = (span + i) * kSpanPages;
                    const int64_t visible = a_.context_lens[first_ + token] - start_page * kPageSize;
                    if (visible <= 0) continue;
                    const int64_t row = token * a_.num_heads + head;
                    run_.attend_span({query_ + row * a_.width, std::min(group_heads_, a_.num_heads - head), a_.pages,
                                      a_.page_tables + a_.seq_idx[first_ + token] * a_.max_pages + start_page,
                                      std::min(visible, kSpanPages * kPageSize), a_.width, a_.kv_lora_rank,
                                      a_.softmax_scale, runtime_.scratch<float>(worker_idx),
                                      parts[i].at(row, a_.kv_lora_rank)});
                }
            });
    }

    void join(int64_t span, int64_t num, const PartialRows* parts, const PartialRows& total) {
        const int64_t rows = a_.num_heads;
        runtime_.parallel_for(count_, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t token = begin; token < end; ++token) {
                const Partial into = total.at(token * rows, a_.kv_lora_rank);
                for (int64_t i = 0; i < num; ++i) {
                    if (a_.context_lens[first_ + token] <= (span + i) * kSpanPages * kPageSize) break;
                    const Partial next = parts[i].at(token * rows, a_.kv_lora_rank);
                    if (span + i == 0) {
                        std::copy_n(next.out, rows * a_.kv_lora_rank, into.out);
                        std::copy_n(next.max, rows, into.max);
                        std::copy_n(next.sum, rows, into.sum);
                    } else {
                        run_.join(into, next, rows, a_.kv_lora_rank);
                    }
                }
            }
        });
    }

    void finish(const PartialRows& total) {
        for_head_and_tokens(a_.v_head_dim * a_.kv_lora_rank, [&](int64_t head, int64_t token, int64_t num_tokens) {
            const int64_t row = token * a_.num_heads + head;
            run_.finish({total.out + row * a_.kv_lora_rank, a_.num_heads * a_.kv_lora_rank, total.sum + row,
                         a_.num_heads, num_tokens, a_.head_weights(head) + a_.nope * a_.kv_lora_rank, a_.kv_lora_rank,
                         a_.v_head_dim, a_.out + ((first_ + token) * a_.num_heads + head) * a_.v_head_dim,
                         a_.num_heads * a_.v_head_dim});
        });
    }

    Runtime& runtime_;
    const Functions& run_;
    const Attention& a_;
    int64_t first_, count_;
    int64_t longest_ = 0, num_spans_, group_heads_, num_groups_, spans_at_once_;
    float* query_ = nullptr;
};

// Every page a token may see exists; each sequence's table is read once, as far as its longest context.
void check_pages(const Attention& a, int64_t T, int64_t B, int64_t P) {
    const auto fail = [](const char* what, int64_t index, int64_t found, int64_t lowest, int64_t highest) {
        throw ShapeError("mla_absorbed: " + std::string(what) + "[" + std::to_string(index) + "] is " +
                         std::to_string(found) + ", expected " + std::to_string(lowest) + " to " +
                         std::to_string(highest));
    };
    std::vector<int64_t> pages_needed(static_cast<size_t>(B), 0);
    for (int64_t t = 0; t < T; ++t) {
        if (a.seq_idx[t] < 0 || a.seq_idx[t] >= B) fail("seq_idx", t, a.seq_idx[t], 0, B - 1);
        if (a.context_lens[t] < 1 || a.context_lens[t] > a.max_pages * kPageSize) {
            fail("context_lens", t, a.context_lens[t], 1, a.max_pages * kPageSize);
        }
        int64_t& needed = pages_needed[static_cast<size_t>(a.seq_idx[t])];
        needed = std::max(needed, ceil_div(a.context_lens[t], kPageSize));
    }
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t i = b * a.max_pages; i < b * a.max_pages + pages_needed[static_cast<size_t>(b)]; ++i) {
            if (a.page_tables[i] < 0 || a.page_tables[i] >= P) fail("page_tables", i, a.page_tables[i], 0, P - 1);
        }
    }
}

}  // namespace

void bind_mla(nb::module_& m) {
    m.def("mla_absorbed", [](Runtime& runtime, const Input& q_nope, const Input& q_rope, const Input& kv_b,
                             const Input& pages, const Input& page_tables, const Input& seq_idx,
                             const Input& context_lens, float softmax_scale, const Output& out) {
        Size T{"T"}, H{"H"}, nope{"nope"}, rope{"R"}, P{"P"}, B{"B"}, max_pages{"max_pages"}, C{"kv_lora_rank"};
        Size kv_rows{"H * (nope + v)"}, out_width{"H * v"};
        Attention a{};
        a.q_nope = input<float>("mla_absorbed: q_nope", q_nope, {T, H, nope});
        a.q_rope = input<float>("mla_absorbed: q_rope", q_rope, {T, H, rope});
        a.kv_b = input<bf16>("mla_absorbed: kv_b", kv_b, {kv_rows, C});
        const int64_t width = C + rope;
        a.pages = input<f16>("mla_absorbed: pages", pages, {P, {"page size", kPageSize}, {"latent width", width}});
        a.page_tables = input<int32_t>("mla_absorbed: page_tables", page_tables, {B, max_pages});
        a.seq_idx = input<int32_t>("mla_absorbed: seq_idx", seq_idx, {T});
        a.context_lens = input<int32_t>("mla_absorbed: context_lens", context_lens, {T});
        a.out = output<float>("mla_absorbed: out", out, {T, out_width});
        if (T == 0) return;
        if (H < 1 || kv_rows != H * nope + out_width || out_width % H != 0) {
            throw ShapeError("mla_absorbed: kv_b: " + std::to_string(kv_rows) +
                             " rows, expected H * (nope + v) = " + std::to_string(H * nope + out_width));
        }
        a.num_heads = H;
        a.nope = nope;
        a.rope = rope;
        a.v_head_dim = out_width / H;
        a.kv_lora_rank = C;
        a.width = width;
        a.max_pages = max_pages;
        a.softmax_scale = softmax_scale;
        check_pages(a, T, B, P);
        const int64_t num_tokens = T;
        const Call call(runtime);
        const Isa isa = runtime.isa();
        const Functions run{MOONLET_PICK(isa, mla_absorb), MOONLET_PICK(isa, mla_attend_span),
                            MOONLET_PICK(isa, mla_join), MOONLET_PICK(isa, mla_finish)};
        const int64_t token_bytes =
            a.num_heads * (width + 3 * (a.kv_lora_rank + 2)) * static_cast<int64_t>(sizeof(float));
        const int64_t at_once = std::max<int64_t>(1, kRoundBytes / token_bytes);
        for (int64_t first = 0; first < num_tokens; first += at_once) {
            Round(runtime, run, a, first, std::min(at_once, num_tokens - first)).compute();
        }
    });
}

}  // namespace moonlet
