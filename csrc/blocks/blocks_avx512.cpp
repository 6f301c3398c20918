#include <utility>

#include "blocks/activations_lanes.h"
#include "blocks/gemm_avx512.h"
#include "blocks/gemv_avx512.h"
#include "blocks/readers_iq_avx512.h"
#include "blocks/readers_k_avx512.h"
#include "common/records.h"

namespace moonlet::avx512 {
namespace {

template <class Format, int idx>
void dot_task(const BlockTask& task) {
    if (task.num_tokens <= kFewTokens) return gemv_stored<Format>(task);
    gemm_blocks<Format::kind>(block_formats[idx], expand_stored<Format>, task);
}

template <class... Formats>
struct List {};

template <class... Formats, int... idx>
constexpr BlockOps make_ops(List<void, Formats...>, std::integer_sequence<int, idx...>) {
    return {{dot_task<Formats, idx>...}, quantize, silu_mul};
}

}  // namespace

#define MOONLET_COMMA_NAME(F) , F
const BlockOps* block_ops() {
    static constexpr BlockOps ops = make_ops(List<void MOONLET_FOR_EACH_FORMAT(MOONLET_COMMA_NAME)>{},
                                             std::make_integer_sequence<int, kNumBlockFormats>{});
    return &ops;
}
#undef MOONLET_COMMA_NAME

}  // namespace moonlet::avx512
