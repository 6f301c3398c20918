#include "common/runtime.h"

#include <cstring>
#include <new>

#include "common/errors.h"

namespace moonlet {
namespace {

int checked_threads(int num_threads) {
    if (num_threads < 1) {
        throw OptionError("num_threads " + std::to_string(num_threads) + ": expected at least 1");
    }
    return num_threads;
}

size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

Runtime::Runtime(int num_threads, const std::string& isa) : isa_(parse_isa(isa)), pool_(checked_threads(num_threads)) {}

Runtime::Memory Runtime::allocate(size_t bytes) {
    return Memory(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{4096})));
}

void Runtime::reserve_scratch(size_t bytes_each) {
    if (bytes_each <= scratch_bytes_each_) return;
    // Whole pages each, plus a line, so that workers' scratches neither share a line nor fall into the same cache sets.
    const size_t rounded = round_up(bytes_each, 4096) + 64;
    scratch_.reset();
    scratch_bytes_each_ = 0;
    scratch_ = allocate(rounded * static_cast<size_t>(num_threads()));
    scratch_bytes_each_ = rounded;
}

void* Runtime::reserve_shared(size_t bytes) {
    if (bytes > shared_bytes_) {
        shared_.reset();
        shared_bytes_ = 0;
        shared_ = allocate(bytes);
        shared_bytes_ = bytes;
    }
    return shared_.get();
}

}  // namespace moonlet
