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
constexpr uint64_t MULTIPLIERS[2] = {0xD2511F53, 0xCD9E8D57};
constexpr uint32_t WEYL[2] = {0x9E3779B9, 0xBB67AE85};

// Numbers of 32 bits, each in the lower half of a lane; what is in the upper half does not count.
typedef uint64_t Words __attribute__((vector_size(WIDTH)));
constexpr int AT_ONCE = WIDTH / int(sizeof(uint64_t));

// The product of the lower halves.
GRADUS_INLINE Words product(Words a, uint64_t b) {
#if defined(__AVX512F__)
    // Without a mask GCC 12 warns.
    return (Words)_mm512_maskz_mul_epu32(0xff, (__m512i)a, _mm512_set1_epi64(int64_t(b)));
#elif defined(__AVX2__)
    return (Words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(int64_t(b)));
#elif defined(__SSE2__)
    return (Words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(int64_t(b)));
#else
    return (a & 0xFFFFFFFF) * b;
#endif
}

// Four numbers of each counter, which they replace.
GRADUS_INLINE void philox(uint64_t key, Words counter[WORDS]) {
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    for (int round = 0; round < 10; ++round, k0 += WEYL[0], k1 += WEYL[1]) {
        const Words a = product(counter[0], MULTIPLIERS[0]), b = product(counter[2], MULTIPLIERS[1]);
        counter[0] = (b >> 32) ^ counter[1] ^ uint64_t(k0);
        counter[1] = b;
        counter[2] = (a >> 32) ^ counter[3] ^ uint64_t(k1);
        counter[3] = a;
    }
}

}  // namespace

template <class T>
void scales(const Draw& draw, int64_t row, int64_t first, int64_t last, T* to) {
    const double edge = draw.share * 4294967296.0;
    const uint32_t least_kept = edge < 4294967295.0 ? uint32_t(edge) : 4294967295u;
    const T kept = draw.share < 1 ? T(1 / (1 - draw.share)) : T(0);
    for (int64_t four = first / WORDS; four * WORDS < last; ++four) {
        const int units = int(least(WORDS, last - four * WORDS));
        T* const to_four = to + four * WORDS * PANEL;
        for (int lane = 0; lane < PANEL; lane += AT_ONCE) {
            const Words zero = {};
            Words words[WORDS] = {zero + uint64_t(four), zero, zero + draw.step, zero + draw.layer};
            for (int i = 0; i < AT_ONCE; ++i) words[1][i] = uint32_t(row + lane + i);
            philox(draw.key, words);
            for (int unit = 0; unit < units; ++unit) {
                for (int i = 0; i < AT_ONCE; ++i) {
                    const bool stays = uint32_t(words[unit][i]) >= least_kept;
                    to_four[unit * PANEL + lane + i] = stays ? kept : T(0);
                }
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
