#include "draw/draw.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <vector>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

// The upper bits of a positive float32 keep its order: 32 bins a halving, bin 0 for a weight of 1, the last for 0. So
// the bins take 32 KiB, and the flattest logits of 163,840 tokens leave some 1,400 in one bin to be sorted.
constexpr int kBinShift = 18;
constexpr int64_t kBinOfOne = std::bit_cast<int32_t>(1.0f) >> kBinShift;
constexpr int64_t kNumBins = kBinOfOne + 1;
constexpr int64_t kBlock = 512;
constexpr int kSums = 8;

// NaN, which no caller should pass, falls into the first bin rather than out of the array.
int64_t bin_of(float weight) { return std::max<int64_t>(0, kBinOfOne - (std::bit_cast<int32_t>(weight) >> kBinShift)); }

// Of the tokens in falling order of weight, keeps the fewest whose measures reach wanted(sum of all); zeroes the rest.
// Nothing sorts the vocabulary: the set is whole bins and, sorted, a part of the one in which the amount is reached.
template <class Measure, class Wanted>
void keep_largest(float* weights, int64_t size, const Measure& measure, const Wanted& wanted_of) {
    std::vector<double> bins(kNumBins, 0.0);
    for (int64_t i = 0; i < size; ++i) bins[static_cast<size_t>(bin_of(weights[i]))] += measure(weights[i]);
    const double wanted = wanted_of(std::accumulate(bins.begin(), bins.end(), 0.0));
    double reached = 0.0;
    int64_t edge = 0;
    for (; edge < kNumBins - 1 && reached + bins[static_cast<size_t>(edge)] < wanted; ++edge) {
        reached += bins[static_cast<size_t>(edge)];
    }
    std::vector<int64_t> in_edge;
    for (int64_t i = 0; i < size; ++i) {
        const int64_t bin = bin_of(weights[i]);
        if (bin == edge) in_edge.push_back(i);
        weights[i] = bin > edge ? 0.0f : weights[i];
    }
    std::stable_sort(in_edge.begin(), in_edge.end(), [&](int64_t a, int64_t b) { return weights[a] > weights[b]; });
    for (const int64_t i : in_edge) {
        const double amount = measure(weights[i]);
        if (reached >= wanted) weights[i] = 0.0f;
        reached += amount;
    }
}

double sum(const float* weights, int64_t size) {
    double lanes[kSums] = {};
    int64_t i = 0;
    for (; i + kSums <= size; i += kSums) {
        for (int lane = 0; lane < kSums; ++lane) lanes[lane] += weights[i + lane];
    }
    for (; i < size; ++i) lanes[0] += weights[i];
    return std::accumulate(lanes, lanes + kSums, 0.0);
}

// The first index at which the running sum passes `wanted`; where rounding leaves none, the last that weighs anything.
template <class At>
int64_t passes(int64_t size, double wanted, const At& at) {
    int64_t last = 0;
    double running = 0.0;
    for (int64_t i = 0; i < size; ++i) {
        if (at(i) == 0.0) continue;
        last = i;
        running += at(i);
        if (running > wanted) break;
    }
    return last;
}

// Block by block, then inside one: a single chain of additions over the vocabulary would take as long as all the rest.
int64_t pick(const float* weights, int64_t size, double number) {
    std::vector<double> blocks;
    for (int64_t first = 0; first < size; first += kBlock) {
        blocks.push_back(sum(weights + first, std::min(kBlock, size - first)));
    }
    const double total = std::accumulate(blocks.begin(), blocks.end(), 0.0);
    const int64_t block = passes(static_cast<int64_t>(blocks.size()), number * total,
                                 [&](int64_t i) { return blocks[static_cast<size_t>(i)]; });
    const double before = std::accumulate(blocks.begin(), blocks.begin() + block, 0.0);
    const int64_t first = block * kBlock;
    return first + passes(std::min(kBlock, size - first), number * total - before,
                          [&](int64_t i) { return static_cast<double>(weights[first + i]); });
}

}  // namespace

void bind_draw(nb::module_& m) {
    m.def("draw", [](Runtime& runtime, const Input& logits, double temperature, int64_t top_k, double top_p,
                     double min_p, double number) {
        Size V{"vocab_size"};
        const float* logits_data = input<float>("draw: logits", logits, {V});
        const int64_t size = V;
        if (size == 0) throw ShapeError("draw: logits: found none, expected at least one");
        const Call call(runtime);
        runtime.reserve_scratch(static_cast<size_t>(size) * sizeof(float));
        float* weights = runtime.scratch<float>(0);
        // A temperature too small for float32 still tells the best token from the others.
        const float divisor = std::max(static_cast<float>(temperature), std::numeric_limits<float>::min());
        MOONLET_PICK(runtime.isa(), draw_weights)(logits_data, size, divisor, weights);
        if (top_k > 0 && top_k < size) {
            keep_largest(weights, size, [](float) { return 1.0; }, [&](double) { return static_cast<double>(top_k); });
        }
        if (top_p < 1.0) {
            keep_largest(
                weights, size, [](float w) { return static_cast<double>(w); }, [&](double all) { return top_p * all; });
        }
        const float least = static_cast<float>(min_p);
        for (int64_t i = 0; i < size; ++i) weights[i] = weights[i] >= least ? weights[i] : 0.0f;
        return pick(weights, size, number);
    });
}

}  // namespace moonlet
