// PReLU: below zero a line whose slope is learned, of every feature or one for all of them.
//
// Source: He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers".
#include "between.hpp"

#include "ending.hpp"
#include "over_examples.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

// Some features of a panel, from a lane on.
template <class T>
GRADUS_INLINE Vector<T> slopes(const Layer<T>& layer, const T* weights, int64_t panel, int lane) {
    return layer.shares() ? every<T>(weights[0]) : load(weights + panel * PANEL + lane);
}

}  // namespace

template <class T>
void prelu(const Layer<T>& layer, const T* weights, const Side<T>& in, int64_t count,
           int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre) {
    for (int64_t panel = first; panel < last; ++panel) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const Vector<T> slope = slopes<T>(layer, weights, panel, lane);
            const int64_t begin = panel * stride * PANEL + lane;
            for (int64_t at = begin; at < begin + count * PANEL; at += PANEL) {
                const Vector<T> x = load(in.by_feature + at);
                store<T>(out.by_feature + at, x > T(0) ? x : x * slope);
            }
        }
    }
    finish<T>(layer, count, stride, first, last, out, pre);
}

template <class T>
void prelu_gradient(const Layer<T>& layer, const Side<T>& delta, const Side<T>& in, int64_t count,
                    int64_t first, int64_t last, T* sums) {
    const int64_t end = least(last * PANEL, layer.outputs);
    for (int64_t example = 0; example < count; example += PANEL) {
        const T* const from = in.by_example + example * in.rows;
        const int64_t at = example * layer.outputs;
        for (int64_t feature = first * PANEL; feature < end; ++feature) {
            const T slope = layer.weights[layer.shares() ? 0 : feature];
            for (int lane = 0; lane < PANEL; lane += LANES<T>) {
                const int64_t i = feature * PANEL + lane;
                const Vector<T> g = load(delta.by_example + at + i);
                store<T>(sums + at + i, load(from + i) > T(0) ? g : g * slope);
            }
        }
    }
}

template <class T>
void prelu_update(const Layer<T>& layer, const Side<T>& in, const T* delta, int64_t count,
                  int64_t stride, int64_t first, int64_t last, bool begun) {
    const int64_t block = panels(layer.outputs) * stride * PANEL;
    T all = begun && layer.shares() ? layer.gradient[0] : T(0);
    for (int64_t panel = first; panel < last; ++panel) {
        for (int lane = 0; lane < PANEL; lane += LANES<T>) {
            const int64_t begin = panel * stride * PANEL + lane, feature = panel * PANEL + lane;
            const T* const d = delta + begin;
            const T* const x = in.by_feature + begin;
            const Vector<T> whole =
                over_examples<T>(count, stride, block, [&](int64_t at) GRADUS_INLINE_LAMBDA {
                    const Vector<T> zero = {}, value = load(x + at);
                    return value > zero ? zero : value * load(d + at);
                });
            if (!layer.shares()) {
                T* const to = layer.gradient + feature;
                store<T>(to, begun ? load(to) + whole : whole);
                continue;
            }
            const int64_t here = least(LANES<T>, layer.outputs - feature);
            for (int64_t i = 0; i < here; ++i) all += whole[i];
        }
    }
    if (layer.shares()) layer.gradient[0] = all;
}

#define GRADUS_INSTANTIATE(T)                                                                      \
    template void prelu(const Layer<T>&, const T*, const Side<T>&, int64_t, int64_t, int64_t,      \
                        int64_t, const Side<T>&, T*);                                              \
    template void prelu_gradient(const Layer<T>&, const Side<T>&, const Side<T>&, int64_t,         \
                                 int64_t, int64_t, T*);                                            \
    template void prelu_update(const Layer<T>&, const Side<T>&, const T*, int64_t, int64_t,        \
                               int64_t, int64_t, bool);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::GRADUS_VARIANT
