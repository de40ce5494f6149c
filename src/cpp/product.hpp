// The one product that forward, input gradients and weight gradients are made of.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// Vectors in a panel, and the rows of a tile of so many vectors a row: as many as the registers
// hold beside one row.
template <class T>
constexpr int VECTORS_IN_PANEL = PANEL / LANES<T>;

constexpr int tile_rows(int vectors) {
    const int rows = (REGISTERS - 1) / vectors - 1;
    return rows > 16 ? 16 : rows < 1 ? 1 : rows;
}

// Panels side by side in a tile. A number that is broadcast is used once for every vector of a row:
// where a panel is one vector, two of them halve what has to be read.
template <class T>
constexpr int SIDE_BY_SIDE = VECTORS_IN_PANEL<T> == 1 ? 2 : 1;

// Of the last panel only a half may hold numbers; where it is vectors of its own, nothing is
// computed of the other half, which is zero. It counts as 0 panels side by side.
template <class T>
constexpr bool HAS_HALVES = VECTORS_IN_PANEL<T> > 1;

template <class T>
GRADUS_INLINE bool is_half(int64_t columns, int64_t panel) {
    return HAS_HALVES<T> && columns - panel * PANEL <= PANEL / 2;
}

template <class T, int P>
constexpr int VECTORS = P == 0 ? VECTORS_IN_PANEL<T> / 2 : P * VECTORS_IN_PANEL<T>;

template <class T, int P>
constexpr int ROWS = P <= 1 ? tile_rows(VECTORS<T, P>) : 8;

// R rows of P panels, in registers; `apart` is how far panels lie from each other in memory.
template <class T, int R, int P>
struct Tile {
    static constexpr int V = VECTORS_IN_PANEL<T>, N = VECTORS<T, P>;
    Vector<T> at[R][N];

    GRADUS_INLINE static int64_t place(int v, int64_t apart) {
        return v / V * apart + v % V * LANES<T>;
    }

    GRADUS_INLINE void clear() {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] = Vector<T>{};
        }
    }

    // All rows the same.
    GRADUS_INLINE void repeat(const T* row, int64_t apart) {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] = load(row + place(v, apart));
        }
    }

    GRADUS_INLINE void take(const T* from, int64_t apart) {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] = load(from + r * PANEL + place(v, apart));
        }
    }

    GRADUS_INLINE void add(const T* more, int64_t apart) {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] += load(more + r * PANEL + place(v, apart));
        }
    }

    // As Curve::RELU.
    GRADUS_INLINE void rectify() {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] = at[r][v] < 0 ? Vector<T>{} : at[r][v];
        }
    }

    GRADUS_INLINE void put(T* to, int64_t apart) const {
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) store(to + r * PANEL + place(v, apart), at[r][v]);
            for (int v = N; v < V; ++v) store(to + r * PANEL + place(v, apart), Vector<T>{});
        }
    }

    // at[r][.] += a[r] * b[.], for one k.
    GRADUS_INLINE void add_outer(const T* a, const T* b, int64_t apart) {
        Vector<T> row[N];
        for (int v = 0; v < N; ++v) row[v] = load(b + place(v, apart));
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) at[r][v] += a[r * PANEL] * row[v];
        }
    }

    // at[r][.] += sum over k of a[k / 16][r][k % 16] * b[k][.], k in order: whoever computes an
    // entry, in whatever tile, rounds it in the same way.
    GRADUS_INLINE void add_product(const T* a, int64_t stride, const T* b, int64_t apart,
                                   int64_t k) {
        for (; k >= PANEL; k -= PANEL, a += stride, b += PANEL * PANEL) {
#pragma GCC unroll 4
            for (int j = 0; j < PANEL; ++j) add_outer(a + j, b + j * PANEL, apart);
        }
        for (int j = 0; j < k; ++j) add_outer(a + j, b + j * PANEL, apart);
    }
};

// What `work` does with tiles of ROWS rows, and with one smaller tile for the rows that are left.
template <class T, int R, int P, class Work>
GRADUS_INLINE void last_tile(int64_t row, int64_t left, const Work& work) {
    if constexpr (R > 0) {
        if (left == R) {
            Tile<T, R, P> tile;
            work(row, tile);
        } else {
            last_tile<T, R - 1, P>(row, left, work);
        }
    }
}

template <class T, int P, class Work>
GRADUS_INLINE void tiles(int64_t first, int64_t last, const Work& work) {
    for (; first + ROWS<T, P> <= last; first += ROWS<T, P>) {
        Tile<T, ROWS<T, P>, P> tile;
        work(first, tile);
    }
    last_tile<T, ROWS<T, P> - 1, P>(first, last - first, work);
}

// What `work` does with panels side by side, and with those that are left one by one.
template <int P>
struct Panels {
    static constexpr int NUMBER = P;
};

template <class T, class Work>
GRADUS_INLINE void by_panels(int64_t first, int64_t last, const Work& work) {
    constexpr int P = SIDE_BY_SIDE<T>;
    for (; first + P <= last; first += P) work(first, Panels<P>{});
    if constexpr (P > 1) {
        for (; first < last; ++first) work(first, Panels<1>{});
    }
}

// The same of so many columns, of whose last panel a half may be enough.
template <class T, class Work>
GRADUS_INLINE void by_panels(int64_t first, int64_t last, int64_t columns, const Work& work) {
    if constexpr (HAS_HALVES<T>) {
        if (first < last && is_half<T>(columns, last - 1)) work(--last, Panels<0>{});
    }
    by_panels<T>(first, last, work);
}

}  // namespace gradus::GRADUS_VARIANT
