#include "linear_float/linear_float.h"

#include <algorithm>
#include <string>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

// Rows of one block: a multiple of every tile's rows, and few enough that the block's weights stay in a 1 MiB L2 cache
// while tokens pass by (32 rows of 7168 bf16 are 448 KiB).
constexpr int64_t kBlockBytes = 512 * 1024;
constexpr int64_t kRowStep = 8;
constexpr int64_t kMaxBlockRows = 64;
// Tokens of one block: enough that reading the weights again for the next ones costs nothing.
constexpr int64_t kBlockTokens = 192;
// Multiply-adds below which a second thread costs more than it brings.
constexpr int64_t kWorthSharing = 64 * 1024;

template <class W>
int64_t rows_of_block(int64_t num_rows, int64_t num_tokens, int64_t size, int num_threads) {
    const int64_t cached = kBlockBytes / std::max<int64_t>(1, size * static_cast<int64_t>(sizeof(W)));
    const int64_t balanced = num_rows / (8 * num_threads);
    const int64_t worth = kWorthSharing / std::max<int64_t>(1, size * std::min(num_tokens, kBlockTokens));
    const int64_t rows = std::clamp(std::max(std::min(cached, balanced), worth), kRowStep, kMaxBlockRows);
    return rows / kRowStep * kRowStep;
}

template <class W>
void linear(Runtime& runtime, void (*run)(const LinearBlock<W>&), const float* x, const W* weight, float* y, int64_t T,
            int64_t N, int64_t K) {
    const int64_t block_rows = rows_of_block<W>(N, T, K, runtime.num_threads());
    const int64_t row_blocks = (N + block_rows - 1) / block_rows;
    const int64_t token_blocks = (T + kBlockTokens - 1) / kBlockTokens;
    const int64_t work = block_rows * K * std::min(T, kBlockTokens);
    const int64_t grain = std::max<int64_t>(1, kWorthSharing / std::max<int64_t>(1, work));
    runtime.parallel_for(row_blocks * token_blocks, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t row = item / token_blocks * block_rows;
            const int64_t token = item % token_blocks * kBlockTokens;
            run({x + token * K, std::min(kBlockTokens, T - token), weight + row * K, std::min(block_rows, N - row), K,
                 y + token * N + row, N});
        }
    });
}

template <class W>
void bind(nb::module_& m, const char* name, void (*(*pick)(Isa))(const LinearBlock<W>&)) {
    m.def(name,
          [name = std::string(name), pick](Runtime& runtime, const Input& x, const Input& weight, const Output& out) {
              Size T{"T"}, K{"K"}, N{"N"};
              const float* x_data = input<float>((name + ": x").c_str(), x, {T, K});
              const W* weight_data = input<W>((name + ": weight").c_str(), weight, {N, K});
              float* out_data = output<float>((name + ": out").c_str(), out, {T, N});
              const Call call(runtime);
              linear(runtime, pick(runtime.isa()), x_data, weight_data, out_data, T, N, K);
          });
}

}  // namespace

void bind_linear_float(nb::module_& m) {
    bind<bf16>(m, "linear_bf16", [](Isa isa) { return MOONLET_PICK(isa, linear_bf16); });
    bind<float>(m, "linear_f32", [](Isa isa) { return MOONLET_PICK(isa, linear_f32); });
}

}  // namespace moonlet
