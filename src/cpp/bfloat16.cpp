// The products of a training step in bfloat16, for processors that multiply pairs of such numbers.
//
// What enters a product is rounded on the way into memory of the function's own, a piece at a time
// that stays in the first caches; sums, and all that is kept, are float32. An instruction takes two
// factors at once: of two rows of a panel, whose numbers lie side by side for it,
//
//     rows    [k / 16][row][16]       of which two neighbours are broadcast
//     pairs   [k / 2][16][2]          a panel, two of its rows at a time
//
// so that it does the work of two of float32. Sums run over k in order, whoever computes them. The
// weights are kept as pairs too, which the update writes while they are in the first cache: forward
// then rounds none, and reads half as much.
#include "kernels.hpp"

#include "ending.hpp"
#include "product.hpp"
#include "step.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

using Half = uint16_t;

// How much is rounded at a time: of a product forward, examples and inputs; of an input gradient,
// rows of weights; of an update, examples, which are those of a segment, rows of weights, and panels
// of gradients at the outputs.
constexpr int64_t EXAMPLES = 64, RUN = 512;
constexpr int64_t INPUTS = 64;
constexpr int64_t SEGMENT = 128, WEIGHTS = 128, DELTAS = 32;
constexpr int WIDE = SIDE_BY_SIDE<float>;

GRADUS_INLINE __m256i rounded(__m512 numbers) {
    return (__m256i)_mm512_maskz_cvtneps_pbh(0xffff, numbers);  // no warning of GCC 12
}

// So many vectors of 16 numbers, of which the first `real` count.
GRADUS_INLINE void pack_rows(const float* from, int64_t vectors, int64_t real, Half* to) {
    const __mmask16 mask = __mmask16(real >= PANEL ? 0xffff : (1 << real) - 1);
    for (int64_t i = 0; i < vectors; ++i) {
        const __m512 numbers = _mm512_maskz_loadu_ps(mask, from + i * PANEL);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * PANEL), rounded(numbers));
    }
}

// So many rows of a panel, two at a time; a last one alone is beside zeros.
GRADUS_INLINE void pack_pairs(const float* from, int64_t rows, Half* to) {
    alignas(64) static constexpr Half ORDER[2 * PANEL] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    };
    const __m512i order = _mm512_load_si512(ORDER);
    for (int64_t row = 0; row < rows; row += 2, to += 2 * PANEL) {
        const __m512 first = _mm512_loadu_ps(from + row * PANEL);
        const __m512 second =
            row + 1 < rows ? _mm512_loadu_ps(from + (row + 1) * PANEL) : _mm512_setzero_ps();
        const __m512i both = (__m512i)_mm512_maskz_cvtne2ps_pbh(-1, second, first);
        _mm512_storeu_si512(to, _mm512_maskz_permutexvar_epi16(-1, order, both));
    }
}

// at[r][.] += sum over k of rows[k / 16][r][k % 16] * pairs[k / 2][.][k % 2].
template <int R, int P>
GRADUS_INLINE void add_product(Tile<float, R, P>& tile, const Half* rows, int64_t stride,
                               const Half* pairs, int64_t apart, int64_t k) {
    const auto add = [&](const Half* a, const Half* b) GRADUS_INLINE_LAMBDA {
        __m512bh row[P];
        for (int p = 0; p < P; ++p) row[p] = (__m512bh)_mm512_loadu_si512(b + p * apart);
        for (int r = 0; r < R; ++r) {
            int32_t pair;
            __builtin_memcpy(&pair, a + r * PANEL, sizeof pair);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            for (int p = 0; p < P; ++p) {
                tile.at[r][p] =
                    (Vector<float>)_mm512_dpbf16_ps((__m512)tile.at[r][p], both, row[p]);
            }
        }
    };
    for (; k >= PANEL; k -= PANEL, rows += stride, pairs += PANEL * PANEL) {
#pragma GCC unroll 4
        for (int j = 0; j < PANEL; j += 2) add(rows + j, pairs + j * PANEL);
    }
    for (int j = 0; j < k; j += 2) add(rows + j, pairs + j * PANEL);
}

// From a panel of pairs to the next.
int64_t apart(const Layer<float>& layer) { return layer.pairs_of_a_panel() * 2 * PANEL; }

void forward(const Layer<float>& layer, const float* weights, const Side<float>& in, int64_t count,
             int64_t stride, int64_t first, int64_t last, const Side<float>& out, float* pre) {
    const int64_t rows = layer.rows() * PANEL, outs = stride * PANEL;
    const bool kept = layer.pairs && weights == layer.weights;
    // Runs of one length: a short one would bring sums into registers for little.
    const int64_t runs = (layer.inputs + RUN - 1) / RUN;
    const int64_t run = panels((layer.inputs + runs - 1) / runs) * PANEL;
    for (int64_t block = 0; block < count; block += EXAMPLES) {
        const int64_t here = least(EXAMPLES, count - block);
        for (int64_t from = 0; from < layer.inputs; from += run) {
            alignas(64) Half inputs[RUN * EXAMPLES], made[WIDE * RUN * PANEL];
            const int64_t length = least(run, layer.inputs - from);
            for (int64_t k = 0; k < length; k += PANEL) {
                pack_rows(in.by_feature + (from + k) * stride + block * PANEL, here, length - k,
                          inputs + k * EXAMPLES);
            }
            by_panels<float>(first, last, [&](int64_t panel, auto side_by_side)
                                              GRADUS_INLINE_LAMBDA {
                constexpr int P = decltype(side_by_side)::NUMBER;
                const float* w = weights + panel * rows;
                float* z = out.by_feature + panel * outs + block * PANEL;
                const Half* pairs = layer.pairs + panel * apart(layer) + from * PANEL;
                for (int p = 0; !kept && p < P; ++p) {
                    pack_pairs(w + p * rows + from * PANEL, length, made + p * RUN * PANEL);
                }
                if (!kept) pairs = made;
                const int64_t wide = kept ? apart(layer) : RUN * PANEL;
                tiles<float, P>(0, here, [&](int64_t example, auto& tile) GRADUS_INLINE_LAMBDA {
                    if (from > 0) {
                        tile.take(z + example * PANEL, outs);
                    } else if (layer.has_bias) {
                        tile.repeat(w + layer.inputs * PANEL, rows);
                    } else {
                        tile.clear();
                    }
                    add_product(tile, inputs + example * PANEL, EXAMPLES * PANEL, pairs, wide,
                                length);
                    tile.put(z + example * PANEL, outs);
                });
            });
        }
    }
    finish<float>(layer, count, stride, first, last, out, pre);
}

void input_gradient(const Layer<float>& layer, const Side<float>& delta, int64_t count,
                    int64_t first, int64_t last, int64_t from, int64_t to, float* sums,
                    int64_t apart) {
    constexpr int64_t BLOCKS = EXAMPLES / PANEL;
    const int64_t end = least(last * PANEL, layer.inputs);
    const int64_t in = PANEL * layer.inputs, out = PANEL * delta.rows;
    for (int64_t group = from; group < to; ++group) {
        const int64_t begin = group * GROUP, length = least(GROUP, layer.outputs - begin);
        const bool begun = apart == 0 && group > 0;
        for (int64_t some = 0; some < panels(count); some += BLOCKS) {
            alignas(64) Half pairs[BLOCKS * GROUP * PANEL], weights[GROUP * INPUTS];
            const int64_t here = least(BLOCKS, panels(count) - some);
            for (int64_t block = 0; block < here; ++block) {
                pack_pairs(delta.by_example + (some + block) * out + begin * PANEL, length,
                           pairs + block * GROUP * PANEL);
            }
            float* const sum = sums + group * apart + some * in;
            for (int64_t rows = first * PANEL; rows < end; rows += INPUTS) {
                const int64_t until = least(end, rows + INPUTS);
                for (int64_t k = 0; k < length; k += PANEL) {
                    pack_rows(layer.weights + (begin + k) * layer.rows() + rows * PANEL,
                              until - rows, length - k, weights + k * INPUTS);
                }
                by_panels<float>(0, here, [&](int64_t block, auto side) GRADUS_INLINE_LAMBDA {
                    constexpr int P = decltype(side)::NUMBER;
                    tiles<float, P>(rows, until, [&](int64_t row, auto& tile)
                                                     GRADUS_INLINE_LAMBDA {
                        float* at = sum + block * in + row * PANEL;
                        tile.clear();
                        add_product(tile, weights + (row - rows) * PANEL, INPUTS * PANEL,
                                    pairs + block * GROUP * PANEL, GROUP * PANEL, length);
                        if (begun) tile.add(at, in);
                        tile.put(at, in);
                    });
                });
            }
        }
    }
}

// The gradient of a panel of weights, or of two side by side, from factors that are rounded.
struct Rounded {
    const Layer<float>& layer;
    int64_t panel;
    const Half* inputs;  // of the rows of weights from `from` on
    int64_t from;
    const Half* delta;  // of the panel
    int64_t count;
    const float* begun;  // what it is added to, or null

    int64_t apart() const { return layer.rows() * PANEL; }

    template <int R, int P>
    GRADUS_INLINE void into(Tile<float, R, P>& tile, int64_t row) const {
        if (begun) {
            tile.take(begun + row * PANEL, apart());
        } else {
            tile.clear();
        }
        add_product(tile, inputs + (row - from) * PANEL, WEIGHTS * PANEL, delta, SEGMENT * PANEL,
                    count);
    }

    template <int P>
    __attribute__((noinline)) void put(int64_t first, int64_t last, float* to,
                                       int64_t apart) const {
        tiles<float, P>(first, last, [&](int64_t row, auto& tile) GRADUS_INLINE_LAMBDA {
            into(tile, row);
            tile.put(to + (row - first) * PANEL, apart);
        });
    }

    // Pairs begin at even rows, and so do tiles.
    template <int P>
    GRADUS_INLINE void moved(int64_t first, int64_t last) const {
        const int64_t rows = least(last, layer.inputs) - first;
        if (!layer.pairs || rows <= 0) return;
        for (int64_t p = panel; p < panel + P; ++p) {
            pack_pairs(layer.weights + p * apart() + first * PANEL, rows,
                       layer.pairs + avx512_bf16::apart(layer) * p + first * PANEL);
        }
    }
};

// Panels of gradients at the outputs are rounded once; rows of weights pass over them, so many at a
// time.
void update(const Layer<float>& layer, const Side<float>& in, const float* delta, int64_t count,
            int64_t stride, int64_t first, int64_t last, bool begun, bool finished, Rule rule,
            Regularization regularization, const Step<float>& step) {
    if (count == 0) {  // the gradient is there
        avx512::single()->update(layer, in, delta, count, stride, first, last, begun, finished, rule,
                                 regularization, step);
        return;
    }
    const int64_t rows = layer.rows(), block = panels(layer.outputs) * stride * PANEL;
    if (layer.moves_all()) {  // then members divide them anywhere
        first -= first % rows % 2;
        last -= last % rows % 2;
    }
    if (finished && moves_apart(rule)) {
        update(layer, in, delta, count, stride, first, last, begun, false, rule, regularization,
               step);
        update(layer, in, delta, 0, stride, first, last, true, true, rule, regularization, step);
        return;
    }
    const int64_t low = first / rows, high = (last + rows - 1) / rows;  // panels
    for (int64_t some = low; some < high; some += DELTAS) {
        for (int64_t example = 0; example < count; example += SEGMENT) {
            alignas(64) Half inputs[SEGMENT * WEIGHTS], pairs[DELTAS * SEGMENT * PANEL];
            const int64_t here = least(SEGMENT, count - example), end = least(high, some + DELTAS);
            const bool moves = finished && example + here == count;
            for (int64_t panel = some; panel < end; ++panel) {
                Half* const to = pairs + (panel - some) * SEGMENT * PANEL;
                int64_t length;
                for (int64_t k = 0; k < here; k += length) {
                    const int64_t at = example + k, within = at % stride;
                    length = least(stride - within, here - k);
                    pack_pairs(delta + at / stride * block + (panel * stride + within) * PANEL,
                               length, to + k * PANEL);
                }
            }
            for (int64_t from = 0; from < rows; from += WEIGHTS) {
                const int64_t until = least(rows, from + WEIGHTS);
                for (int64_t k = 0; k < here; k += PANEL) {
                    pack_rows(in.by_example + (example + k) * in.rows + from * PANEL, until - from,
                              here - k, inputs + k * WEIGHTS);
                }
                // Of a panel, what of these rows is asked for.
                const auto begins = [&](int64_t panel) {
                    const int64_t top = panel == low ? first - low * rows : 0;
                    return top > from ? top : from;
                };
                const auto ends = [&](int64_t panel) { return least(until, last - panel * rows); };
                const auto pass = [&](int64_t panel, auto side_by_side) GRADUS_INLINE_LAMBDA {
                    constexpr int P = decltype(side_by_side)::NUMBER;
                    const int64_t top = begins(panel), bottom = ends(panel);
                    const int64_t at = panel * rows * PANEL;
                    if (top >= bottom) return;
                    const Rounded gradients{
                        layer, panel, inputs, from, pairs + (panel - some) * SEGMENT * PANEL, here,
                        begun || example > 0 ? layer.gradient + at : nullptr};
                    if (moves) {
                        STEPS_BY_RULE<float, Rounded, P>[int(rule)][int(regularization)](
                            gradients, at, top, bottom, step);
                    } else {
                        gradients.put<P>(top, bottom, layer.gradient + at + top * PANEL,
                                         gradients.apart());
                    }
                };
                int64_t panel = some;
                while (panel < end) {
                    const bool wide = panel + 1 < end && begins(panel) == from &&
                                      ends(panel) == until && ends(panel + 1) == until;
                    if (wide) pass(panel, Panels<WIDE>{});
                    else pass(panel, Panels<1>{});
                    panel += wide ? WIDE : 1;
                }
            }
        }
    }
}

void pair(const Layer<float>& layer) {
    for (int64_t panel = 0; panel < panels(layer.outputs); ++panel) {
        pack_pairs(layer.weights + panel * layer.rows() * PANEL, layer.inputs,
                   layer.pairs + panel * apart(layer));
    }
}

Kernels<float> made() {
    Kernels<float> table = *avx512::single();
    table.forward = forward;
    table.input_gradient = input_gradient;
    table.update = update;
    table.pair = pair;
    return table;
}

}  // namespace

const Kernels<float>* single() {
    static const Kernels<float> table = made();
    return &table;
}

}  // namespace gradus::GRADUS_VARIANT
