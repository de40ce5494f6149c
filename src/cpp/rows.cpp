// The inner loops over the non-zeros of an example.
#include "rows.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

template <int64_t N>
struct Number {
    static constexpr int64_t VALUE = N;
};

// Outputs that are summed together, where there are more.
constexpr int64_t SOME = 32;

// One and two outputs, as of numbers and of two classes, are loops of their own.
template <class Do>
GRADUS_INLINE void by_outputs(int64_t outputs, const Do& act) {
    if (outputs == 1) return act(Number<1>());
    if (outputs == 2) return act(Number<2>());
    act(Number<0>());
}

// How many outputs: known when this is compiled, or only now.
template <class Known>
GRADUS_INLINE int64_t width(Known, int64_t outputs) {
    return Known::VALUE ? Known::VALUE : outputs;
}

// Where the weights of non-zero i are: the ways of Row.
template <class T, class Do>
GRADUS_INLINE void by_place(const Row<T>& row, const Do& act) {
    const int32_t* const columns = row.columns;
    const int32_t* const places = row.places;
    if (!columns) return act([](int64_t i) GRADUS_INLINE_LAMBDA { return i; });
    if (!places) return act([=](int64_t i) GRADUS_INLINE_LAMBDA { return int64_t(columns[i]); });
    act([=](int64_t i) GRADUS_INLINE_LAMBDA { return int64_t(places[columns[i]]); });
}

template <class T>
GRADUS_INLINE T shrunk(T v, T by, T scale) {
    const T left = (v < 0 ? -v : v) - by;
    const T w = (left < 0 ? 0 : left) * scale;  // NaN stays NaN
    return v < 0 ? -w : w;
}

}  // namespace

template <class T>
void take_columns(const Columns& columns, const Shrinking& given, const double* behind,
                  const T* from, T* to) {
    const double threshold = given.threshold;
    const T scale = T(given.scale);
    by_outputs(columns.outputs, [&](auto known) GRADUS_INLINE_LAMBDA {
        const int64_t m = width(known, columns.outputs);
        if (behind) {
            for (int64_t i = 0; i < columns.count; ++i) {
                const T* const v = from + columns.list[i] * m;
                const T by = T(threshold - behind[columns.list[i]]);
                for (int64_t o = 0; o < m; ++o) to[i * m + o] = shrunk(v[o], by, scale);
            }
            return;
        }
        for (int64_t i = 0; i < columns.count; ++i) {
            const T* const v = from + columns.list[i] * m;
            for (int64_t o = 0; o < m; ++o) to[i * m + o] = v[o];
        }
        if (scale == 1) return;
        for (int64_t i = 0; i < columns.count * m; ++i) to[i] *= scale;
    });
}

template <class T>
void put_columns(const Columns& columns, const Shrinking& shrinking, double* behind, const T* from,
                 T* to) {
    const double threshold = shrinking.threshold;
    const T larger = T(1 / shrinking.scale);
    by_outputs(columns.outputs, [&](auto known) GRADUS_INLINE_LAMBDA {
        const int64_t m = width(known, columns.outputs);
        for (int64_t i = 0; i < columns.count; ++i) {
            T* const v = to + columns.list[i] * m;
            for (int64_t o = 0; o < m; ++o) {
                v[o] = from[i * m + o] * larger;
            }
        }
        for (int64_t i = 0; behind && i < columns.count; ++i) behind[columns.list[i]] = threshold;
    });
}

template <class T>
void multiply_row(const Row<T>& row, int64_t outputs, const T* weights, T* to, int64_t apart) {
    by_outputs(outputs, [&](auto known) GRADUS_INLINE_LAMBDA {
        const int64_t m = width(known, outputs);
        by_place(row, [&](auto place) GRADUS_INLINE_LAMBDA {
            if constexpr (decltype(known)::VALUE > 0) {
                // Four sums of each output: none waits for the one before.
                constexpr int64_t M = decltype(known)::VALUE;
                T sums[4][M] = {};
                int64_t i = 0;
                for (; i + 4 <= row.count; i += 4) {
                    for (int64_t k = 0; k < 4; ++k) {
                        const T* const w = weights + place(i + k) * M;
                        for (int64_t o = 0; o < M; ++o) sums[k][o] += row.values[i + k] * w[o];
                    }
                }
                for (; i < row.count; ++i) {
                    const T* const w = weights + place(i) * M;
                    for (int64_t o = 0; o < M; ++o) sums[0][o] += row.values[i] * w[o];
                }
                for (int64_t o = 0; o < M; ++o) {
                    to[o * apart] += (sums[0][o] + sums[1][o]) + (sums[2][o] + sums[3][o]);
                }
            } else {
                for (int64_t first = 0; first < m; first += SOME) {
                    const int64_t some = m - first < SOME ? m - first : SOME;
                    T sums[SOME] = {};
                    for (int64_t i = 0; i < row.count; ++i) {
                        const T* const w = weights + place(i) * m + first;
                        const T x = row.values[i];
                        for (int64_t o = 0; o < some; ++o) sums[o] += x * w[o];
                    }
                    for (int64_t o = 0; o < some; ++o) to[(first + o) * apart] += sums[o];
                }
            }
        });
    });
}

template <class T>
void add_row(const Row<T>& row, int64_t outputs, const T* delta, int64_t apart, T* gradient) {
    by_outputs(outputs, [&](auto known) GRADUS_INLINE_LAMBDA {
        const int64_t m = width(known, outputs);
        by_place(row, [&](auto place) GRADUS_INLINE_LAMBDA {
            if constexpr (decltype(known)::VALUE > 0) {
                constexpr int64_t M = decltype(known)::VALUE;
                T each[M];
                for (int64_t o = 0; o < M; ++o) each[o] = delta[o * apart];
                for (int64_t i = 0; i < row.count; ++i) {
                    T* const g = gradient + place(i) * M;
                    for (int64_t o = 0; o < M; ++o) g[o] += row.values[i] * each[o];
                }
            } else {
                for (int64_t first = 0; first < m; first += SOME) {
                    const int64_t some = m - first < SOME ? m - first : SOME;
                    T each[SOME];
                    for (int64_t o = 0; o < some; ++o) each[o] = delta[(first + o) * apart];
                    for (int64_t i = 0; i < row.count; ++i) {
                        T* const g = gradient + place(i) * m + first;
                        const T x = row.values[i];
                        for (int64_t o = 0; o < some; ++o) g[o] += x * each[o];
                    }
                }
            }
        });
    });
}

#define GRADUS_ROWS(T)                                                                            \
    template void take_columns(const Columns&, const Shrinking&, const double*, const T*, T*);    \
    template void put_columns(const Columns&, const Shrinking&, double*, const T*, T*);           \
    template void multiply_row(const Row<T>&, int64_t, const T*, T*, int64_t);                    \
    template void add_row(const Row<T>&, int64_t, const T*, int64_t, T*);
GRADUS_ROWS(float)
GRADUS_ROWS(double)
#undef GRADUS_ROWS

}  // namespace gradus::GRADUS_VARIANT
