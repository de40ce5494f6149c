// The arithmetic of the engine, compiled once per variant.
#include "kernels.hpp"

#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

extern const Kernels kernels = {WIDTH};

}  // namespace gradus::GRADUS_VARIANT
