#pragma once

// What the machine can do at most, measured by the plainest loops: reading memory in order, and multiplying int8 codes
// that are already in registers. Benchmarks state their results as a share of these.

#include <cstdint>

namespace moonlet {

namespace scalar {
uint64_t read_memory(const uint8_t* data, int64_t num_bytes);
int64_t multiply_int8(int64_t num_rounds);
}  // namespace scalar
namespace avx2 {
uint64_t read_memory(const uint8_t* data, int64_t num_bytes);
int64_t multiply_int8(int64_t num_rounds);
}  // namespace avx2
namespace avx512 {
// Reads every byte once; the value only keeps the compiler from leaving the loads out. num_bytes a multiple of 256.
uint64_t read_memory(const uint8_t* data, int64_t num_bytes);

// Returns the operations done (a multiplication and an addition are two), about num_rounds times a few thousand.
int64_t multiply_int8(int64_t num_rounds);
}  // namespace avx512

}  // namespace moonlet
