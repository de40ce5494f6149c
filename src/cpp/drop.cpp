// Dropout, whose units are drawn by counting, and sums of layers.
//
// Philox 4x32-10 makes four numbers of 32 bits of a key and a counter: here of the units in fours,
// the example's place in the batch, the step and the layer. So a draw depends on nothing drawn
// before, and on no thread.
//
// Source: Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
#include "between.hpp"

#include "ending.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

constexpr int WORDS = 4;
constexpr uint32_t MULTIPLIERS[2] = {0xD2511F53, 0xCD9E8D57}, WEYL[2] = {0x9E3779B9, 0xBB67AE85};

// Four numbers of each of sixteen counters, which they replace.
GRADUS_INLINE void philox(uint64_t key, uint32_t counter[WORDS][PANEL]) {
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    for (int round = 0; round < 10; ++round, k0 += WEYL[0], k1 += WEYL[1]) {
        for (int lane = 0; lane < PANEL; ++lane) {
            const uint64_t a = uint64_t(MULTIPLIERS[0]) * counter[0][lane];
            const uint64_t b = uint64_t(MULTIPLIERS[1]) * counter[2][lane];
            const uint32_t first = uint32_t(b >> 32) ^ counter[1][lane] ^ k0;
            const uint32_t third = uint32_t(a >> 32) ^ counter[3][lane] ^ k1;
            counter[0][lane] = first;
            counter[1][lane] = uint32_t(b);
            counter[2][lane] = third;
            counter[3][lane] = uint32_t(a);
        }
    }
}

}  // namespace

template <class T>
void scales(const Draw& draw, int64_t row, int64_t first, int64_t last, T* to) {
    const double edge = draw.share * 4294967296.0;
    const uint32_t least_kept = edge < 4294967295.0 ? uint32_t(edge) : 4294967295u;
    const T kept = draw.share < 1 ? T(1 / (1 - draw.share)) : T(0);
    for (int64_t four = first / WORDS; four * WORDS < last; ++four) {
        uint32_t words[WORDS][PANEL];
        for (int lane = 0; lane < PANEL; ++lane) {
            words[0][lane] = uint32_t(four);
            words[1][lane] = uint32_t(row + lane);
            words[2][lane] = draw.step;
            words[3][lane] = draw.layer;
        }
        philox(draw.key, words);
        for (int word = 0; word < WORDS && four * WORDS + word < last; ++word) {
            T* const unit = to + (four * WORDS + word) * PANEL;
            for (int lane = 0; lane < PANEL; ++lane) {
                unit[lane] = words[word][lane] < least_kept ? T(0) : kept;
            }
        }
    }
}

template <class T>
void drop(const Layer<T>& layer, const Draw& draw, int64_t row, const Side<T>& in, int64_t count,
          int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* scaled, T* pre) {
    const int64_t begin = first * PANEL, end = least(last * PANEL, layer.outputs);
    for (int64_t example = 0; example < count; example += PANEL) {
        T* const scale = scaled + example * layer.outputs;
        scales<T>(draw, row + example, begin, end, scale);
        const T* const from = in.by_example + example * in.rows;
        T* const to = out.by_example + example * out.rows;
        for (int64_t i = begin * PANEL; i < end * PANEL; i += LANES<T>) {
            store<T>(to + i, load(from + i) * load(scale + i));
        }
    }
    finish_by_example<T>(layer, count, stride, first, last, out, pre);
}

template <class T>
void drop_gradient(const Layer<T>& layer, const Side<T>& delta, const T* scaled, int64_t count,
                   int64_t first, int64_t last, T* sums) {
    const int64_t begin = first * PANEL, end = least(last * PANEL, layer.outputs);
    for (int64_t example = 0; example < count; example += PANEL) {
        const int64_t at = example * layer.outputs;
        for (int64_t i = begin * PANEL; i < end * PANEL; i += LANES<T>) {
            store<T>(sums + at + i, load(delta.by_example + at + i) * load(scaled + at + i));
        }
    }
}

template <class T>
void sum(const Layer<T>& layer, const Side<T>& in, const Side<T>* also, int64_t count,
         int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre) {
    for (int64_t panel = first; panel < last; ++panel) {
        const int64_t at = panel * stride * PANEL;
        for (int64_t i = at; i < at + count * PANEL; i += LANES<T>) {
            Vector<T> whole = load(in.by_feature + i);
            if (also) whole += load(also->by_feature + i);
            store<T>(out.by_feature + i, whole);
        }
    }
    finish<T>(layer, count, stride, first, last, out, pre);
}

#define GRADUS_INSTANTIATE(T)                                                                      \
    template void scales(const Draw&, int64_t, int64_t, int64_t, T*);                              \
    template void drop(const Layer<T>&, const Draw&, int64_t, const Side<T>&, int64_t, int64_t,    \
                       int64_t, int64_t, const Side<T>&, T*, T*);                                  \
    template void drop_gradient(const Layer<T>&, const Side<T>&, const T*, int64_t, int64_t,       \
                                int64_t, T*);                                                      \
    template void sum(const Layer<T>&, const Side<T>&, const Side<T>*, int64_t, int64_t, int64_t,  \
                      int64_t, const Side<T>&, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::GRADUS_VARIANT
