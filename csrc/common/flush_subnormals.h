#pragma once

// While one lives, its thread's float arithmetic takes subnormal numbers for zero and gives zero for them, as VDPBF16PS
// does in any mode: a level without that instruction thus gives the same bits. Other processors have one level only,
// and keep their mode.

#ifdef MOONLET_X86
#include <xmmintrin.h>
#endif

namespace moonlet {

class FlushSubnormals {
  public:
    FlushSubnormals(const FlushSubnormals&) = delete;
    FlushSubnormals& operator=(const FlushSubnormals&) = delete;
#ifdef MOONLET_X86
    FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero); }
    ~FlushSubnormals() { _mm_setcsr(before_); }

  private:
    static constexpr unsigned kFlushToZero = 0x8000;
    static constexpr unsigned kDenormalsAreZero = 0x0040;
    unsigned before_;
#else
    FlushSubnormals() {}
#endif
};

}  // namespace moonlet
