#pragma once

// Attention in a vision tower: every patch of an item over all patches of it, head by head (MoonViT, Kimi-VL report,
// arXiv 2504.07491, section 2.1). The scores of a block of keys exist, never the matrix (online softmax, arXiv
// 1805.02867).
//
// For one query, keys in blocks of kKeys, in order; a block that is not full is filled up to a multiple of 16:
//
//   s_j = (q . k_j) * softmax_scale            pairs of channels ascending, as common/pairs.h says
//   m'  = max(m, s_j of the block), p_j = exp(s_j - m')
//   sum = sum * exp(m - m') + p_j              sixteen lanes by j mod 16, folded at the end as common/lanes.h says
//   o   = o * exp(m - m') + bf16(p_j) v_j      pairs of keys ascending
//   out = bf16(o * (1 / sum))
//
// So a query's bits depend on its item and head alone, not on the block of queries or the thread it fell to. Subnormal
// numbers count as zero: call under a FlushSubnormals.

#include <cstdint>

#include "common/bf16.h"

namespace moonlet {

// Keys of a block: K and V of K2.5's heads (72 wide) take 18 and 20 KiB packed, so that one of them at a time is in L1.
constexpr int64_t kKeys = 128;
// Queries of one item of work: as often is a block used that was read from the cache; their sums (91 KiB) stay in L2.
constexpr int64_t kQueries = 240;

static constexpr int64_t whole_vectors(int64_t width) { return (width + 15) / 16 * 16; }

// A head's keys and values as products of pairs take them (common/pairs.h), block after block:
//   k  width / 2 pairs of channels, each of kKeys keys
//   v  kKeys / 2 pairs of keys, each of whole_vectors(width) channels
// Keys and channels that are not there are zero.
struct PackedHead {
    bf16* k;
    bf16* v;
};
// bfloat16 of a block.
static inline int64_t packed_k_size(int64_t width) { return width * kKeys; }
static inline int64_t packed_v_size(int64_t width) { return whole_vectors(width) * kKeys; }

struct PatchAttentionWork {
    const bf16* queries;  // [num_queries, width], rows query_stride apart; width even
    int64_t num_queries;  // at most kQueries
    int64_t query_stride;
    PackedHead keys;
    int64_t num_keys;
    int64_t width;
    float softmax_scale;
    float* scratch;  // attend_patches_scratch_floats(width)
    bf16* out;       // [num_queries, width], rows out_stride apart
    int64_t out_stride;
};

// Per query: o, sixteen lanes of sum, the maximum. Per tile of at most eight queries: scores and p.
static constexpr int64_t attend_patches_scratch_floats(int64_t width) {
    return kQueries * (whole_vectors(width) + 16 + 1) + 8 * (kKeys + kKeys / 2);
}

namespace scalar {
void attend_patches(const PatchAttentionWork& work);
}
namespace avx2 {
void attend_patches(const PatchAttentionWork& work);
}
namespace avx512 {
void attend_patches(const PatchAttentionWork& work);
}
namespace avx512bf16 {
void attend_patches(const PatchAttentionWork& work);
}

}  // namespace moonlet
