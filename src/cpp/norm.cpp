// Norms: numbers brought to mean 0 and variance 1, over the features of an example or over the
// examples of a batch, then scaled and shifted.
//
// Examples lie in the lanes for the one and features for the other: no sum runs across a vector.
#include "between.hpp"

#include "ending.hpp"
#include "over_examples.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

// 1 / sqrt(variance + eps).
template <class T>
GRADUS_INLINE Vector<T> inverse_of(Vector<T> variance, T eps) {
    return T(1) / root<T>(variance + eps);
}

// What the numbers of a norm are multiplied by, and what is added: where it has no such, 1 and 0.
template <class T>
struct Line {
    Line(const Layer<T>& layer, const T* weights)
        : rows(layer.rows()),
          weight(layer.inputs > 0 ? weights : nullptr),
          bias(layer.has_bias ? weights + layer.inputs * PANEL : nullptr) {}

    // Of one feature.
    GRADUS_INLINE T scale(int64_t feature) const { return weight ? weight[place(feature)] : T(1); }
    GRADUS_INLINE T shift(int64_t feature) const { return bias ? bias[place(feature)] : T(0); }

    // Of some features of a panel, from a lane on.
    GRADUS_INLINE Vector<T> scales(int64_t panel, int lane) const {
        return weight ? load(weight + panel * rows * PANEL + lane) : every<T>(1);
    }
    GRADUS_INLINE Vector<T> shifts(int64_t panel, int lane) const {
        return bias ? load(bias + panel * rows * PANEL + lane) : Vector<T>{};
    }

    int64_t place(int64_t feature) const {
        return feature / PANEL * rows * PANEL + feature % PANEL;
    }

    const int64_t rows;
    const T* const weight;
    const T* const bias;
};

// Vectors in a panel.
template <class T>
constexpr int WIDE = PANEL / LANES<T>;

}  // namespace

template <class T>
void layer_norm(const Layer<T>& layer, const T* weights, double eps, const Side<T>& in,
                int64_t count, int64_t stride, const Side<T>& out, const Normal<T>& normal, T* pre) {
    const Line<T> line(layer, weights);
    const int64_t features = layer.outputs;
    const T share = T(1) / T(features);
    for (int64_t example = 0; example < count; example += PANEL) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const T* const x = in.by_example + example * in.rows + lane;
            T* const value = normal.values.by_example + example * features + lane;
            T* const to = out.by_example + example * out.rows + lane;
            Vector<T> mean = {}, variance = {};
            for (int64_t f = 0; f < features; ++f) mean += load(x + f * PANEL);
            mean *= share;
            for (int64_t f = 0; f < features; ++f) {
                const Vector<T> apart = load(x + f * PANEL) - mean;
                variance += apart * apart;
            }
            const Vector<T> inverse = inverse_of<T>(variance * share, T(eps));
            store<T>(normal.inverse + example + lane, inverse);
            for (int64_t f = 0; f < features; ++f) {
                const Vector<T> normed = (load(x + f * PANEL) - mean) * inverse;
                store<T>(value + f * PANEL, normed);
                store<T>(to + f * PANEL, normed * line.scale(f) + line.shift(f));
            }
        }
    }
    finish_by_example<T>(layer, count, stride, 0, panels(features), out, pre);
    if (layer.moves()) turn_back<T>(normal.values, features, count, stride, 0, panels(features));
}

// With g the gradient at the numbers x of mean 0 and variance 1: (g - mean g - x mean(g x)) / deviation.
template <class T>
void layer_norm_gradient(const Layer<T>& layer, const Side<T>& delta, const Normal<T>& normal,
                         int64_t count, T* sums) {
    const Line<T> line(layer, layer.weights);
    const int64_t features = layer.outputs;
    const T share = T(1) / T(features);
    for (int64_t example = 0; example < count; example += PANEL) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const int64_t at = example * features + lane;
            const T* const d = delta.by_example + at;
            const T* const x = normal.values.by_example + at;
            Vector<T> mean = {}, along = {};
            for (int64_t f = 0; f < features; ++f) {
                const Vector<T> g = load(d + f * PANEL) * line.scale(f);
                mean += g;
                along += g * load(x + f * PANEL);
            }
            mean *= share;
            along *= share;
            const Vector<T> inverse = load(normal.inverse + example + lane);
            for (int64_t f = 0; f < features; ++f) {
                const Vector<T> g = load(d + f * PANEL) * line.scale(f);
                store<T>(sums + at + f * PANEL, (g - mean - load(x + f * PANEL) * along) * inverse);
            }
        }
    }
}

template <class T>
void batch_norm(const Layer<T>& layer, const T* weights, double eps, const Side<T>& in,
                int64_t count, int64_t stride, int64_t first, int64_t last, const Side<T>& out,
                const Normal<T>& normal, const Running<T>* running, T* pre) {
    const Line<T> line(layer, weights);
    const int64_t block = panels(layer.outputs) * stride * PANEL;
    const T share = T(1) / T(count);
    for (int64_t panel = first; panel < last; ++panel) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const int64_t begin = panel * stride * PANEL + lane, place = panel * PANEL + lane;
            const T* const x = in.by_feature + begin;
            const Vector<T> mean =
                over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                    return load(x + at);
                }) * share;
            const Vector<T> squares =
                over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                    const Vector<T> apart = load(x + at) - mean;
                    return apart * apart;
                });
            const Vector<T> inverse = inverse_of<T>(squares * share, T(eps));
            store<T>(normal.inverse + place, inverse);
            if (running) {
                const T fresh = T(running->fresh), unbiased = T(1) / T(count - 1);
                T* const kept[2] = {running->mean + place, running->variance + place};
                store<T>(kept[0], load(kept[0]) * (1 - fresh) + mean * fresh);
                store<T>(kept[1], load(kept[1]) * (1 - fresh) + squares * (unbiased * fresh));
            }
            const Vector<T> scale = line.scales(panel, lane), shift = line.shifts(panel, lane);
            for (int64_t from = 0, at = begin; from < count; from += stride, at += block) {
                for (int64_t i = 0; i < least(stride, count - from); ++i) {
                    const Vector<T> normed = (load(in.by_feature + at + i * PANEL) - mean) * inverse;
                    store<T>(normal.values.by_feature + at + i * PANEL, normed);
                    store<T>(out.by_feature + at + i * PANEL, normed * scale + shift);
                }
            }
        }
    }
    for (int64_t from = 0; from < count; from += stride) {
        const Side<T> here{out.by_feature + from / stride * block, out.by_example + from * out.rows,
                           out.rows};
        finish<T>(layer, least(stride, count - from), stride, first, last, here,
                  pre ? pre + from * layer.outputs : nullptr);
    }
}

template <class T>
void batch_norm_gradient(const Layer<T>& layer, const Side<T>& delta, const Normal<T>& normal,
                         int64_t count, int64_t stride, int64_t first, int64_t last, T* sums) {
    const Line<T> line(layer, layer.weights);
    const int64_t features = layer.outputs, block = panels(features) * stride * PANEL;
    const T share = T(1) / T(count);
    for (int64_t panel = first; panel < last; ++panel) {
        const int64_t begin = panel * stride * PANEL;
        Vector<T> mean[WIDE<T>], along[WIDE<T>], factor[WIDE<T>];
        for (int v = 0; v < WIDE<T>; ++v) {
            const int lane = v * LANES<T>;
            const T* const d = delta.by_feature + begin + lane;
            const T* const x = normal.values.by_feature + begin + lane;
            mean[v] = over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                return load(d + at);
            }) * share;
            along[v] = over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                return load(d + at) * load(x + at);
            }) * share;
            factor[v] = line.scales(panel, lane) * load(normal.inverse + panel * PANEL + lane);
        }
        const int columns = int(least(PANEL, features - panel * PANEL));
        for (int64_t from = 0, at = begin; from < count; from += stride, at += block) {
            for (int64_t example = 0; example < least(stride, count - from); example += PANEL) {
                T some[PANEL * PANEL];
                for (int64_t i = 0; i < PANEL; ++i) {
                    const int64_t place = at + (example + i) * PANEL;
                    for (int v = 0; v < WIDE<T>; ++v) {
                        const int lane = v * LANES<T>;
                        const Vector<T> d = load(delta.by_feature + place + lane);
                        const Vector<T> x = load(normal.values.by_feature + place + lane);
                        store<T>(some + i * PANEL + lane, (d - mean[v] - x * along[v]) * factor[v]);
                    }
                }
                transpose<T>(some, PANEL,
                             sums + (from + example) * features + panel * PANEL * PANEL, columns);
            }
        }
    }
}

template <class T>
void standardize(const Layer<T>& layer, const T* weights, double eps, const Running<T>& running,
                 const Side<T>& in, int64_t count, int64_t stride, int64_t first, int64_t last,
                 const Side<T>& out) {
    const Line<T> line(layer, weights);
    for (int64_t panel = first; panel < last; ++panel) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const int64_t begin = panel * stride * PANEL + lane, place = panel * PANEL + lane;
            const Vector<T> mean = load(running.mean + place);
            const Vector<T> inverse = inverse_of<T>(load(running.variance + place), T(eps));
            const Vector<T> scale = line.scales(panel, lane), shift = line.shifts(panel, lane);
            for (int64_t at = begin; at < begin + count * PANEL; at += PANEL) {
                const Vector<T> normed = (load(in.by_feature + at) - mean) * inverse;
                store<T>(out.by_feature + at, normed * scale + shift);
            }
        }
    }
    finish<T>(layer, count, stride, first, last, out, static_cast<T*>(nullptr));
}

template <class T>
void norm_update(const Layer<T>& layer, const Normal<T>& normal, const T* delta, int64_t count,
                 int64_t stride, int64_t first, int64_t last, bool begun) {
    const int64_t block = panels(layer.outputs) * stride * PANEL;
    for (int64_t panel = first; panel < last; ++panel) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const int64_t begin = panel * stride * PANEL + lane;
            const T* const d = delta + begin;
            const T* const x = normal.values.by_feature + begin;
            T* const weight = layer.gradient + panel * layer.rows() * PANEL + lane;
            T* const bias = weight + layer.inputs * PANEL;
            const Vector<T> zero = {};
            if (layer.inputs > 0) {
                const Vector<T> of_weight =
                    over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                        return load(d + at) * load(x + at);
                    });
                store<T>(weight, (begun ? load(weight) : zero) + of_weight);
            }
            if (layer.has_bias) {
                const Vector<T> of_bias =
                    over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                        return load(d + at);
                    });
                store<T>(bias, (begun ? load(bias) : zero) + of_bias);
            }
        }
    }
}

#define GRADUS_INSTANTIATE(T)                                                                      \
    template void layer_norm(const Layer<T>&, const T*, double, const Side<T>&, int64_t, int64_t,  \
                             const Side<T>&, const Normal<T>&, T*);                                \
    template void layer_norm_gradient(const Layer<T>&, const Side<T>&, const Normal<T>&, int64_t,  \
                                      T*);                                                         \
    template void batch_norm(const Layer<T>&, const T*, double, const Side<T>&, int64_t, int64_t,  \
                             int64_t, int64_t, const Side<T>&, const Normal<T>&,                   \
                             const Running<T>*, T*);                                               \
    template void batch_norm_gradient(const Layer<T>&, const Side<T>&, const Normal<T>&, int64_t,  \
                                      int64_t, int64_t, int64_t, T*);                              \
    template void standardize(const Layer<T>&, const T*, double, const Running<T>&,                \
                              const Side<T>&, int64_t, int64_t, int64_t, int64_t, const Side<T>&); \
    template void norm_update(const Layer<T>&, const Normal<T>&, const T*, int64_t, int64_t,       \
                              int64_t, int64_t, bool);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::GRADUS_VARIANT
