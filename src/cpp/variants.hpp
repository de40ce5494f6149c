// Which variants of the kernels were built, and which this processor runs.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace gradus {

struct Variant {
    const char* name;
    bool runs;
    const Kernels<float>* single;
    const Kernels<double>* twice;
};

// The fastest first.
inline std::vector<Variant> variants() {
    std::vector<Variant> list;
#ifdef GRADUS_HAS_AVX512
    list.push_back({"avx512",
                    __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("fma"),
                    avx512::single(), avx512::twice()});
#endif
#ifdef GRADUS_HAS_AVX2
    list.push_back({"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                    avx2::single(), avx2::twice()});
#endif
    list.push_back({"portable", true, portable::single(), portable::twice()});
    return list;
}

inline Variant variant_of(const std::string& name) {
    for (const Variant& variant : variants()) {
        if (variant.runs && name == variant.name) return variant;
    }
    throw std::invalid_argument("no such variant of the kernels runs here: " + name);
}

// The kernels that take products in bfloat16, beside those of a variant; null where there are none.
inline const Kernels<float>* in_bfloat16(const std::string& variant) {
#ifdef GRADUS_HAS_AVX512_BF16
    if (variant == "avx512" && __builtin_cpu_supports("avx512bf16")) return avx512_bf16::single();
#else
    (void)variant;
#endif
    return nullptr;
}

}  // namespace gradus
