#include "ceiling/ceiling.h"

#include <algorithm>
#include <atomic>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {

void bind_ceiling(nb::module_& m) {
    m.def("read_memory", [](Runtime& runtime, const Input& buffer) {
        Size num_bytes{"num_bytes"};
        const uint8_t* data = input<uint8_t>("read_memory: buffer", buffer, {num_bytes});
        if (num_bytes % 256 != 0) throw ShapeError("read_memory: buffer: expected a multiple of 256 bytes");
        const int64_t size = num_bytes;
        const Call call(runtime);
        const auto read = MOONLET_PICK(runtime.isa(), read_memory);
        constexpr int64_t kItemBytes = 1 << 20;
        std::atomic<uint64_t> seen{0};
        runtime.parallel_for((size + kItemBytes - 1) / kItemBytes, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) {
                seen |= read(data + i * kItemBytes, std::min(kItemBytes, size - i * kItemBytes));
            }
        });
        return seen.load();
    });

    m.def("multiply_int8", [](Runtime& runtime, int64_t num_rounds) {
        const Call call(runtime);
        const auto multiply = MOONLET_PICK(runtime.isa(), multiply_int8);
        std::atomic<int64_t> num_operations{0};
        const int64_t num_items = 16 * runtime.num_threads();
        runtime.parallel_for(num_items, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) num_operations += multiply(num_rounds);
        });
        return num_operations.load();
    });
}

}  // namespace moonlet
