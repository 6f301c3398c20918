#include "ceiling/ceiling.h"

#include <cstring>

namespace moonlet::scalar {

uint64_t read_memory(const uint8_t* data, int64_t num_bytes) {
    uint64_t seen[4] = {};
    for (int64_t i = 0; i < num_bytes; i += 32) {
        for (int j = 0; j < 4; ++j) {
            uint64_t word;
            std::memcpy(&word, data + i + 8 * j, sizeof(word));
            seen[j] |= word;
        }
    }
    return seen[0] | seen[1] | seen[2] | seen[3];
}

int64_t multiply_int8(int64_t num_rounds) {
    int8_t a[64], b[64];
    std::memset(a, 3, sizeof(a));
    std::memset(b, static_cast<int>(num_rounds & 1), sizeof(b));
    volatile int32_t result = 0;
    for (int64_t round = 0; round < num_rounds; ++round) {
        int32_t sum = result;
        for (int i = 0; i < 64; ++i) sum += a[i] * b[i];
        result = sum;
    }
    return num_rounds * 64 * 2;
}

}  // namespace moonlet::scalar
