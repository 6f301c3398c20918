#pragma once

#include <string>
#include <vector>

namespace moonlet {

// The ladder of instruction sets, lowest first. A level implies all below it.
//   scalar      plain C++, the truth the others are tested against
//   avx2        AVX2, FMA, F16C
//   avx512      AVX-512 F, BW, VL, DQ and VNNI
//   avx512bf16  these and AVX-512 BF16
enum class Isa { scalar = 0, avx2 = 1, avx512 = 2, avx512bf16 = 3 };

const char* isa_name(Isa isa);

// Levels that both this build and this host have, lowest first.
std::vector<Isa> supported_isas();

// "auto" is the highest supported level. Throws OptionError for an unknown name and for a level the host lacks.
Isa parse_isa(const std::string& name);

}  // namespace moonlet

// The function of an operation for one level: MOONLET_PICK(isa, f) is scalar::f, avx2::f or avx512::f as seen from the
// namespace it is used in. Where an operation gains nothing from AVX-512, MOONLET_PICK_AVX2 stops at avx2::f; where it
// has BF16 dot products, MOONLET_PICK_BF16 goes on to avx512bf16::f.
#ifdef MOONLET_X86
#define MOONLET_PICK(isa, f) \
    ((isa) >= ::moonlet::Isa::avx512 ? avx512::f : (isa) == ::moonlet::Isa::avx2 ? avx2::f : scalar::f)
#define MOONLET_PICK_BF16(isa, f) ((isa) == ::moonlet::Isa::avx512bf16 ? avx512bf16::f : MOONLET_PICK(isa, f))
#define MOONLET_PICK_AVX2(isa, f) ((isa) != ::moonlet::Isa::scalar ? avx2::f : scalar::f)
#else
#define MOONLET_PICK(isa, f) (static_cast<void>(isa), scalar::f)
#define MOONLET_PICK_BF16(isa, f) MOONLET_PICK(isa, f)
#define MOONLET_PICK_AVX2(isa, f) (static_cast<void>(isa), scalar::f)
#endif
