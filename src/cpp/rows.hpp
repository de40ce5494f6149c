// The inner loops over the non-zeros of an example, compiled once for every variant.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// Kernels<T>::take, put, multiply and add.
template <class T>
void take_columns(const Columns&, const Shrinking&, const double* behind, const T* from, T* to);
template <class T>
void put_columns(const Columns&, const Shrinking&, double* behind, const T* from, T* to);
template <class T>
void multiply_row(const Row<T>&, int64_t outputs, const T* weights, T* to, int64_t apart);
template <class T>
void add_row(const Row<T>&, int64_t outputs, const T* delta, int64_t apart, T* gradient);

}  // namespace gradus::GRADUS_VARIANT
