// How wide a step of arithmetic is: vectors of the width that the variant is compiled for.
//
// Everything in this file and in those that include it lies in a namespace named after the variant
// and uses nothing of the standard library that would be compiled as a function of its own: the
// linker keeps one copy of such a function, and it must not be the one for the widest processor.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef GRADUS_VARIANT
#define GRADUS_VARIANT portable
#endif

#define GRADUS_INLINE inline __attribute__((always_inline))
#define GRADUS_INLINE_LAMBDA __attribute__((always_inline))

namespace gradus::GRADUS_VARIANT {

#if defined(__AVX512F__)
constexpr int WIDTH = 64;      // bytes in a vector
constexpr int REGISTERS = 32;  // vectors that the processor holds at once
#elif defined(__AVX__)
constexpr int WIDTH = 32;
constexpr int REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int WIDTH = 16;
constexpr int REGISTERS = 32;
#else
constexpr int WIDTH = 16;
constexpr int REGISTERS = 16;
#endif

template <class T>
struct Lane;

template <>
struct Lane<float> {
    typedef float Vector __attribute__((vector_size(WIDTH)));
    typedef int32_t Mask __attribute__((vector_size(WIDTH)));
    typedef float Loose __attribute__((vector_size(WIDTH), aligned(4), may_alias));
};

template <>
struct Lane<double> {
    typedef double Vector __attribute__((vector_size(WIDTH)));
    typedef int64_t Mask __attribute__((vector_size(WIDTH)));
    typedef double Loose __attribute__((vector_size(WIDTH), aligned(8), may_alias));
};

template <class T>
using Vector = typename Lane<T>::Vector;
template <class T>
using Mask = typename Lane<T>::Mask;

template <class T>
constexpr int LANES = WIDTH / int(sizeof(T));

// A vector of numbers in memory, at any address that is a multiple of their own size.
template <class T>
GRADUS_INLINE Vector<T> load(const T* from) {
    return *reinterpret_cast<const typename Lane<T>::Loose*>(from);
}

// As many bytes, each a number. Left to itself the compiler widens them one by one.
template <class T>
GRADUS_INLINE Vector<T> load(const uint8_t* from) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        const __m512i whole = _mm512_maskz_cvtepu8_epi32(0xffff, bytes);  // no warning of GCC 12
        return __builtin_convertvector((Mask<T>)whole, Vector<T>);
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
        return __builtin_convertvector((Mask<T>)_mm256_cvtepu8_epi32(bytes), Vector<T>);
    }
#endif
    Vector<T> numbers;
    for (int lane = 0; lane < LANES<T>; ++lane) numbers[lane] = T(from[lane]);
    return numbers;
}

template <class T>
GRADUS_INLINE void store(T* to, Vector<T> value) {
    *reinterpret_cast<typename Lane<T>::Loose*>(to) = value;
}

template <class T>
GRADUS_INLINE Vector<T> every(T value) {
    return value - Vector<T>{};
}

// Whether the processor multiplies and adds with one rounding.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool HAS_FMA = true;
#else
constexpr bool HAS_FMA = false;
#endif

// a * b + c with one rounding, whatever the processor has.
template <class T>
GRADUS_INLINE Vector<T> multiply_add(Vector<T> a, Vector<T> b, Vector<T> c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vector<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    else return (Vector<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4) return (Vector<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    else return (Vector<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    Vector<T> result;
    for (int lane = 0; lane < LANES<T>; ++lane) {
        result[lane] = sizeof(T) == 4 ? __builtin_fmaf(float(a[lane]), float(b[lane]), float(c[lane]))
                                      : __builtin_fma(a[lane], b[lane], c[lane]);
    }
    return result;
#endif
}

template <class T>
GRADUS_INLINE Vector<T> larger(Vector<T> a, Vector<T> b) {
    return a > b ? a : b;
}

template <class T>
GRADUS_INLINE Vector<T> absolute(Vector<T> a) {
    return a < 0 ? -a : a;
}

// -1, 0 or 1.
template <class T>
GRADUS_INLINE Vector<T> sign(Vector<T> a) {
    const Vector<T> zero = {}, one = every<T>(1);
    return (a > zero ? one : zero) - (a < zero ? one : zero);
}

template <class T>
GRADUS_INLINE Vector<T> root(Vector<T> a) {
    Vector<T> result;
    for (int lane = 0; lane < LANES<T>; ++lane) {
        result[lane] = sizeof(T) == 4 ? __builtin_sqrtf(a[lane]) : __builtin_sqrt(a[lane]);
    }
    return result;
}

}  // namespace gradus::GRADUS_VARIANT
