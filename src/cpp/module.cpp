// How Python reaches the core: which variants of the kernels were built, and which run here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "kernels.hpp"

namespace nb = nanobind;

namespace {

struct Variant {
    const char* name;
    const gradus::Kernels* kernels;
    bool runs;  // on this processor
};

// The fastest first.
std::vector<Variant> variants() {
    std::vector<Variant> list;
#ifdef GRADUS_HAS_AVX512
    list.push_back({"avx512", &gradus::avx512::kernels,
                    __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("fma")});
#endif
#ifdef GRADUS_HAS_AVX2
    list.push_back({"avx2", &gradus::avx2::kernels,
                    __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")});
#endif
    list.push_back({"portable", &gradus::portable::kernels, true});
    return list;
}

std::vector<std::string> built() {
    std::vector<std::string> names;
    for (const Variant& variant : variants()) names.push_back(variant.name);
    return names;
}

std::vector<std::string> runnable() {
    std::vector<std::string> names;
    for (const Variant& variant : variants())
        if (variant.runs) names.push_back(variant.name);
    return names;
}

}  // namespace

NB_MODULE(_core, module) {
    module.def("built", &built);
    module.def("runnable", &runnable);
}
