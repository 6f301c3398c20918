#include "formats/format_table.h"

#include "common/errors.h"

namespace moonlet {

int block_format_idx(const std::string& name) {
    std::string names;
    for (int idx = 0; idx < kNumBlockFormats; ++idx) {
        if (name == scalar::block_formats[idx].name) return idx;
        names += std::string(idx == 0 ? "" : ", ") + scalar::block_formats[idx].name;
    }
    throw OptionError("block format " + name + ": expected one of " + names);
}

}  // namespace moonlet
