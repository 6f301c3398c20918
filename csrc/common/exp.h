#pragma once

// e^x on sixteen lanes: silu, the router's sigmoid and attention's softmax. Same steps, so same bits, at every level.
//
// x = n ln2 + r with |r| <= ln2/2, e^r = 1 + r + r^2 P(r), P of degree 4 fitted to a relative error of 3e-9 of e^r.
// Within 1 ulp on [-87, 88.37]. Below -87 exactly 0 (a result would soon be subnormal, and a masked softmax entry
// must vanish); above 88.37 the value at 88.37, 2.4e38, so that 1 + e^x stays finite. NaN stays NaN.

#include "common/lanes.h"

namespace moonlet::MOONLET_LEVEL {

static inline Lanes exp(Lanes x) {
    constexpr float kLowest = -87.0f;
    constexpr float kHighest = 88.37f;
    // Adding 1.5 * 2^23 rounds to an integer; with 127 more, the low byte is the exponent of 2^n as a float stores it.
    constexpr float kRound = 12582912.0f + 127.0f;
    const Lanes clamped = min(fill(kHighest), max(fill(kLowest), x));
    const Lanes shifted = fma(clamped, fill(0x1.715476p+0f), fill(kRound));
    const Lanes n = shifted - fill(kRound);
    Lanes r = fma(n, fill(-0x1.62e430p-1f), clamped);
    r = fma(n, fill(0x1.05c610p-29f), r);
    Lanes p = fill(0x1.6a2434p-10f);
    p = fma(p, r, fill(0x1.1239e2p-7f));
    p = fma(p, r, fill(0x1.5558f2p-5f));
    p = fma(p, r, fill(0x1.555492p-3f));
    p = fma(p, r, fill(0x1.fffffcp-2f));
    const Lanes power = fma(p, r * r, r) + fill(1.0f);
    return zero_below(x, kLowest, power * shift_bits_left(shifted, 23));
}

static inline float exp(float x) {
    float all[kLanes];
    store(all, exp(fill(x)));
    return all[0];
}

static inline Lanes sigmoid(Lanes x) { return fill(1.0f) / (fill(1.0f) + exp(zero() - x)); }

}  // namespace moonlet::MOONLET_LEVEL
