#include "common/isa.h"

#include "common/errors.h"

namespace moonlet {

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512bf16:
            return "avx512bf16";
        case Isa::avx512:
            return "avx512";
        case Isa::avx2:
            return "avx2";
        case Isa::scalar:
            break;
    }
    return "scalar";
}

std::vector<Isa> supported_isas() {
    std::vector<Isa> levels{Isa::scalar};
#ifdef MOONLET_X86
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (avx2) levels.push_back(Isa::avx2);
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni")) {
        levels.push_back(Isa::avx512);
        if (__builtin_cpu_supports("avx512bf16")) levels.push_back(Isa::avx512bf16);
    }
#endif
    return levels;
}

Isa parse_isa(const std::string& name) {
    const std::vector<Isa> levels = supported_isas();
    if (name == "auto") return levels.back();
    std::string have;
    for (const Isa level : levels) {
        if (name == isa_name(level)) return level;
        have += std::string(have.empty() ? "" : ", ") + isa_name(level);
    }
    const bool known = name == "avx2" || name == "avx512" || name == "avx512bf16";
    throw OptionError("isa " + name + ": " + (known ? "this machine does not have it" : "no such level") +
                      "; expected auto, or one of: " + have);
}

}  // namespace moonlet
