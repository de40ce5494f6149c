// Numbers too small for a whole mantissa, which processors add and multiply many times slower.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gradus {

// While it lives, what this thread computes to less than 1.2e-38 (in double 2.2e-308) is 0, and so
// is what it reads. The momentum of weights whose gradient stays 0 falls that low, and where it is
// multiplied by more than a half, rounding keeps it there for ever.
class SubnormalsAreZero {
public:
    explicit SubnormalsAreZero(bool wanted) : before_(control()) {
        if (wanted) set(before_ | FLUSH);
    }
    ~SubnormalsAreZero() { set(before_); }
    SubnormalsAreZero(const SubnormalsAreZero&) = delete;

private:
#if defined(__x86_64__)
    static constexpr uint64_t FLUSH = 0x8040;  // what is computed, and what is read
    static uint64_t control() { return _mm_getcsr(); }
    static void set(uint64_t control) { _mm_setcsr(static_cast<unsigned>(control)); }
#elif defined(__aarch64__)
    static constexpr uint64_t FLUSH = uint64_t(1) << 24;
    static uint64_t control() {
        uint64_t control;
        asm volatile("mrs %0, fpcr" : "=r"(control));
        return control;
    }
    static void set(uint64_t control) { asm volatile("msr fpcr, %0" : : "r"(control)); }
#else
    static constexpr uint64_t FLUSH = 0;
    static uint64_t control() { return 0; }
    static void set(uint64_t) {}
#endif

    const uint64_t before_;
};

}  // namespace gradus
