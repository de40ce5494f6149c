// The one product that forward, input gradients and weight gradients are made of.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// Vectors in a panel, and the rows of a tile: as many as the registers hold beside one panel.
template <class T>
constexpr int VECTORS_IN_PANEL = PANEL / LANES<T>;

constexpr int tile_rows(int vectors) {
    const int rows = (REGISTERS - 1) / vectors - 1;
    return rows > 16 ? 16 : rows < 1 ? 1 : rows;
}

template <class T>
constexpr int ROWS = tile_rows(VECTORS_IN_PANEL<T>);

// R rows of a panel, in registers.
template <class T, int R>
struct Tile {
    Vector<T> at[R][VECTORS_IN_PANEL<T>];

    GRADUS_INLINE void clear() {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) at[r][v] = Vector<T>{};
        }
    }

    // All rows the same.
    GRADUS_INLINE void repeat(const T* panel) {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) at[r][v] = load(panel + v * LANES<T>);
        }
    }

    GRADUS_INLINE void take(const T* panel) {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) {
                at[r][v] = load(panel + r * PANEL + v * LANES<T>);
            }
        }
    }

    GRADUS_INLINE void put(T* panel) const {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) {
                store(panel + r * PANEL + v * LANES<T>, at[r][v]);
            }
        }
    }

    // at[r][.] += a[r] * b[.], for one k.
    GRADUS_INLINE void add_outer(const T* a, const T* b) {
        Vector<T> row[VECTORS_IN_PANEL<T>];
        for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) row[v] = load(b + v * LANES<T>);
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < VECTORS_IN_PANEL<T>; ++v) at[r][v] += a[r * PANEL] * row[v];
        }
    }

    // at[r][.] += sum over k of a[k / 16][r][k % 16] * b[k][.], k in order: whoever computes an
    // entry, in whatever tile, rounds it in the same way.
    GRADUS_INLINE void add_product(const T* a, int64_t stride, const T* b, int64_t k) {
        for (; k >= PANEL; k -= PANEL, a += stride, b += PANEL * PANEL) {
#pragma GCC unroll 4
            for (int j = 0; j < PANEL; ++j) add_outer(a + j, b + j * PANEL);
        }
        for (int j = 0; j < k; ++j) add_outer(a + j, b + j * PANEL);
    }
};

// What `work` does with tiles of ROWS rows, and with one smaller tile for the rows that are left.
template <class T, int R, class Work>
GRADUS_INLINE void last_tile(int64_t row, int64_t left, const Work& work) {
    if constexpr (R > 0) {
        if (left == R) {
            Tile<T, R> tile;
            work(row, tile);
        } else {
            last_tile<T, R - 1>(row, left, work);
        }
    }
}

template <class T, class Work>
GRADUS_INLINE void tiles(int64_t first, int64_t last, const Work& work) {
    for (; first + ROWS<T> <= last; first += ROWS<T>) {
        Tile<T, ROWS<T>> tile;
        work(first, tile);
    }
    last_tile<T, ROWS<T> - 1>(first, last - first, work);
}

// Sixteen rows of sixteen numbers, columns first; only `columns` columns are written.
template <class T>
inline void transpose(const T* from, T* to, int columns) {
    for (int column = 0; column < columns; ++column) {
        for (int row = 0; row < PANEL; ++row) to[column * PANEL + row] = from[row * PANEL + column];
    }
}

// Up to sixteen rows of sixteen numbers, columns first; what no row fills becomes zero.
template <class T>
inline void transpose_rows(const T* from, int rows, T* to) {
    for (int column = 0; column < PANEL; ++column) {
        for (int row = 0; row < rows; ++row) to[column * PANEL + row] = from[row * PANEL + column];
        for (int row = rows; row < PANEL; ++row) to[column * PANEL + row] = 0;
    }
}

}  // namespace gradus::GRADUS_VARIANT
