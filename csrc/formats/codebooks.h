#pragma once

// Constants of the file format: the codebooks of the IQ types and the level tables of the 4-bit types, expanded for
// use. They are data, so one copy serves every instruction set.

#include <cstdint>

namespace moonlet {

// Aligned, so that a table starts a cache line.
template <class Word, int kSize>
struct alignas(64) Codebook {
    Word words[kSize];
};

// Magnitudes plus 128, eight an entry, one a byte, the first lowest.
extern const Codebook<uint64_t, 256> kIq2XxsGrid;
extern const Codebook<uint64_t, 512> kIq2XsGrid;
extern const Codebook<uint64_t, 1024> kIq2SGrid;
// Four magnitudes an entry.
extern const Codebook<uint32_t, 256> kIq3XxsGrid;
extern const Codebook<uint32_t, 512> kIq3SGrid;
// The same as numbers of levels, 4 bits each, with the levels.
extern const Codebook<uint16_t, 256> kIq3XxsNumbers;
extern const Codebook<uint16_t, 512> kIq3SNumbers;
extern const int8_t kIq3XxsLevels[16];
extern const int8_t kIq3SLevels[16];
// Eight times -1, 0 or 1, plus 128.
extern const Codebook<uint64_t, 2048> kIq1Grid;

// A sign byte to a word with ones where a bit is set; the same for seven bits and an eighth that makes their number
// even.
extern const Codebook<uint64_t, 256> kSignMasks;
extern const Codebook<uint64_t, 128> kParitySignMasks;

extern const int8_t kIq4Levels[16];    // IQ4_NL and IQ4_XS
extern const int8_t kE2m1Doubled[16];  // FP4 (E2M1) times two, which makes every level whole

}  // namespace moonlet
