// Blocks of sixteen by sixteen numbers, rows into columns, in registers.
#pragma once

#include <utility>

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

template <class T, int... Lanes>
GRADUS_INLINE Vector<T> shuffled(Vector<T> a, Vector<T> b, std::integer_sequence<int, Lanes...>) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, Lanes...);
#else
    return __builtin_shuffle(a, b, Mask<T>{Lanes...});
#endif
}

// Two rows exchange what lies off the diagonal, in squares of `half` lanes.
template <class T, int half, int... Lane>
GRADUS_INLINE void exchange(Vector<T>& a, Vector<T>& b, std::integer_sequence<int, Lane...>) {
    constexpr int L = LANES<T>;
    const Vector<T> upper = shuffled<T>(
        a, b, std::integer_sequence<int, (Lane & half ? L + Lane - half : Lane)...>{});
    b = shuffled<T>(a, b, std::integer_sequence<int, (Lane & half ? L + Lane : Lane + half)...>{});
    a = upper;
}

template <class T, int half>
GRADUS_INLINE void transpose_registers(Vector<T>* rows) {
    if constexpr (half > 0) {
        for (int i = 0; i < LANES<T>; ++i) {
            if (!(i & half)) {
                exchange<T, half>(rows[i], rows[i + half],
                                  std::make_integer_sequence<int, LANES<T>>{});
            }
        }
        transpose_registers<T, half / 2>(rows);
    }
}

template <class T>
GRADUS_INLINE void transpose_some(const T* from, int rows, T* to, int columns) {
    constexpr int L = LANES<T>;
    for (int row = 0; row < PANEL; row += L) {
        for (int column = 0; column < columns; column += L) {
            Vector<T> block[L];
            for (int i = 0; i < L; ++i) {
                block[i] = row + i < rows ? load(from + (row + i) * PANEL + column) : Vector<T>{};
            }
            transpose_registers<T, L / 2>(block);
            for (int i = 0; i < L; ++i) {
                if (column + i < columns) store(to + (column + i) * PANEL + row, block[i]);
            }
        }
    }
}

// Up to sixteen rows of sixteen numbers, columns first: the first `columns` of them. What no row
// fills becomes zero.
template <class T>
inline void transpose(const T* from, int rows, T* to, int columns) {
    if (rows == PANEL && columns == PANEL) {
        transpose_some<T>(from, PANEL, to, PANEL);
    } else {
        transpose_some<T>(from, rows, to, columns);
    }
}

}  // namespace gradus::GRADUS_VARIANT
