// Compiled once for each instruction set, by patch_attention_<isa>.cpp.

#include "common/pairs.h"
#include "patch_attention/patch_attention.h"

namespace moonlet::MOONLET_LEVEL {
namespace {

// What one item of work keeps, carved out of its scratch.
struct Space {
    int64_t columns;  // of o, whole vectors
    float* o;         // [kQueries, columns]
    float* sums;      // [kQueries, 16]
    float* max;       // [kQueries]
    float* scores;    // [kPairRows, kKeys]
    bf16* p;          // [kPairRows, kKeys]

    explicit Space(const PatchAttentionWork& work)
        : columns(whole_vectors(work.width)),
          o(work.scratch),
          sums(o + kQueries * columns),
          max(sums + kQueries * kLanes),
          scores(max + kQueries),
          p(reinterpret_cast<bf16*>(scores + kPairRows * kKeys)) {}
};

// Turns R queries' products with a block into probabilities under the new maximum; factors: for their older sums.
template <int R>
void softmax_block(const PatchAttentionWork& work, int64_t count, int64_t padded, const Space& space, int64_t query,
                   float (&factors)[kLanes]) {
    const float nothing = -__builtin_inff();
    float* const max_so_far = space.max + query;
    float falls[kLanes] = {};
    for (int r = 0; r < R; ++r) {
        float* scores = space.scores + r * kKeys;
        for (int64_t j = count; j < padded; ++j) scores[j] = nothing;
        Lanes top = fill(nothing);
        for (int64_t j = 0; j < padded; j += kLanes) top = moonlet::MOONLET_LEVEL::max(load(scores + j), top);
        const float block_max = highest(top) * work.softmax_scale;
        const float new_max = max_so_far[r] > block_max ? max_so_far[r] : block_max;
        falls[r] = max_so_far[r] - new_max;
        max_so_far[r] = new_max;
    }
    store(factors, exp(load(falls)));
    for (int r = 0; r < R; ++r) {
        const float* scores = space.scores + r * kKeys;
        float* sums = space.sums + (query + r) * kLanes;
        Lanes total = load(sums) * fill(factors[r]);
        for (int64_t j = 0; j < padded; j += kLanes) {
            const Lanes e = exp(load(scores + j) * fill(work.softmax_scale) - fill(max_so_far[r]));
            store(space.p + r * kKeys + j, e);
            total = total + e;
        }
        store(sums, total);
    }
}

// R queries from `query` of the work over a block of `count` keys.
template <int R>
void attend_tile(const PatchAttentionWork& work, const PackedHead& block, int64_t count, const Space& space,
                 int64_t query) {
    const int64_t padded = whole_vectors(count);
    const Rows<const bf16> q{work.queries + query * work.query_stride, work.query_stride};
    const Rows<float> scores{space.scores, kKeys};
    pair_product<R>(q, Rows<const bf16>{block.k, 2 * kKeys}, work.width / 2, nullptr, padded, scores);
    float factors[kLanes];
    softmax_block<R>(work, count, padded, space, query, factors);
    pair_product<R>(Rows<const bf16>{space.p, kKeys}, Rows<const bf16>{block.v, 2 * space.columns}, padded / 2, factors,
                    space.columns, Rows<float>{space.o + query * space.columns, space.columns});
}

}  // namespace

void attend_patches(const PatchAttentionWork& work) {
    const Space space(work);
    for (int64_t i = 0; i < work.num_queries * space.columns; ++i) space.o[i] = 0.0f;
    for (int64_t i = 0; i < work.num_queries * kLanes; ++i) space.sums[i] = 0.0f;
    for (int64_t i = 0; i < work.num_queries; ++i) space.max[i] = -__builtin_inff();
    PackedHead block = work.keys;
    for (int64_t first = 0; first < work.num_keys; first += kKeys) {
        const int64_t count = work.num_keys - first < kKeys ? work.num_keys - first : kKeys;
        for (int64_t query = 0; query < work.num_queries; query += kPairRows) {
            const int64_t rows = work.num_queries - query;
            with_count<kPairRows>(rows < kPairRows ? rows : kPairRows,
                                  [&]<int found>() { attend_tile<found>(work, block, count, space, query); });
        }
        block.k += packed_k_size(work.width);
        block.v += packed_v_size(work.width);
    }
    for (int64_t query = 0; query < work.num_queries; ++query) {
        const Lanes inverse = fill(1.0f / sum(load(space.sums + query * kLanes)));
        const float* o = space.o + query * space.columns;
        bf16* out = work.out + query * work.out_stride;
        int64_t c = 0;
        for (; c + kLanes <= work.width; c += kLanes) store(out + c, load(o + c) * inverse);
        if (c < work.width) store_some(out + c, load(o + c) * inverse, work.width - c);
    }
}

}  // namespace moonlet::MOONLET_LEVEL
