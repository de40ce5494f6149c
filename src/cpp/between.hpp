// Layers without a product: sums, dropout, PReLU, norms.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// See Kernels<T>.
template <class T>
void sum(const Layer<T>&, const Side<T>& in, const Side<T>* also, int64_t count, int64_t stride,
         int64_t first, int64_t last, const Side<T>& out, T* pre);

template <class T>
void drop(const Layer<T>&, const Draw&, int64_t row, const Side<T>& in, int64_t count,
          int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* scales, T* pre);
template <class T>
void drop_gradient(const Layer<T>&, const Side<T>& delta, const T* scales, int64_t count,
                   int64_t first, int64_t last, T* sums);
template <class T>
void scales(const Draw&, int64_t row, int64_t first, int64_t last, T* to);

template <class T>
void prelu(const Layer<T>&, const T* weights, const Side<T>& in, int64_t count, int64_t stride,
           int64_t first, int64_t last, const Side<T>& out, T* pre);
template <class T>
void prelu_gradient(const Layer<T>&, const Side<T>& delta, const Side<T>& in, int64_t count,
                    int64_t first, int64_t last, T* sums);
template <class T>
void prelu_update(const Layer<T>&, const Side<T>& in, const T* delta, int64_t count,
                  int64_t stride, int64_t first, int64_t last, bool begun);

template <class T>
void layer_norm(const Layer<T>&, const T* weights, double eps, const Side<T>& in, int64_t count,
                int64_t stride, const Side<T>& out, const Normal<T>&, T* pre);
template <class T>
void layer_norm_gradient(const Layer<T>&, const Side<T>& delta, const Normal<T>&, int64_t count,
                         T* sums);
template <class T>
void batch_norm(const Layer<T>&, const T* weights, double eps, const Side<T>& in, int64_t count,
                int64_t stride, int64_t first, int64_t last, const Side<T>& out, const Normal<T>&,
                const Running<T>*, T* pre);
template <class T>
void batch_norm_gradient(const Layer<T>&, const Side<T>& delta, const Normal<T>&, int64_t count,
                         int64_t stride, int64_t first, int64_t last, T* sums);
template <class T>
void standardize(const Layer<T>&, const T* weights, double eps, const Running<T>&,
                 const Side<T>& in, int64_t count, int64_t stride, int64_t first, int64_t last,
                 const Side<T>& out);
template <class T>
void norm_update(const Layer<T>&, const Normal<T>&, const T* delta, int64_t count, int64_t stride,
                 int64_t first, int64_t last, bool begun);

}  // namespace gradus::GRADUS_VARIANT
