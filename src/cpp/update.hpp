// How arrays of parameters move in place: one kernel for every rule, compiled once for every variant.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// Kernels<T>::move.
template <class T>
void move_arrays(Rule rule, Stage stage, Rounding rounding, bool regularized, const Step<T>& step,
                 int64_t size, const T* g, T* w, T* s, T* s2, T* s3, T* roots);

}  // namespace gradus::GRADUS_VARIANT
