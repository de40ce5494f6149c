// What every variant of the kernels offers, and which variants there are.
#pragma once

namespace gradus {

struct Kernels {
    int width;  // bytes in a vector
};

namespace portable {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}

}  // namespace gradus
