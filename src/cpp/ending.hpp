// What every layer ends with: its activation, and its outputs in the other order too.
#pragma once

#include "activation.hpp"
#include "transpose.hpp"

namespace gradus::GRADUS_VARIANT {

GRADUS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// The panels first..last, of which the last may be narrower, by example.
template <class T>
void turn(const Side<T>& side, int64_t features, int64_t count, int64_t stride, int64_t first,
          int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) {
        const int columns = int(least(PANEL, features - panel * PANEL));
        for (int64_t example = 0; example < count; example += PANEL) {
            transpose<T>(side.by_feature + (panel * stride + example) * PANEL, PANEL,
                         side.by_example + (example * side.rows + panel * PANEL * PANEL), columns);
        }
    }
}

template <class T>
void activate(const Activation<T>& given, int64_t count, T* at) {
    if (given.curve == Curve::IDENTITY) return;
    const Activation<T> activation = given;  // which is not among what is written
    for (int64_t i = 0; i < count; i += LANES<T>) {
        store<T>(at + i, activated<T>(activation, load(at + i)));
    }
}

// From the numbers before the activation, by feature: `pre` holds them by example then. Where nobody
// reads the outputs by example they are not written so.
template <class T>
void finish(const Layer<T>& layer, int64_t count, int64_t stride, int64_t first, int64_t last,
            const Side<T>& out, T* pre) {
    if (pre) turn<T>({out.by_feature, pre, layer.outputs}, layer.outputs, count, stride, first, last);
    for (int64_t panel = first; panel < last; ++panel) {
        activate<T>(layer.activation, count * PANEL, out.by_feature + panel * stride * PANEL);
    }
    if (out.by_example) turn<T>(out, layer.outputs, count, stride, first, last);
}

// The same panels by feature, from what lies by example.
template <class T>
void turn_back(const Side<T>& side, int64_t features, int64_t count, int64_t stride, int64_t first,
               int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) {
        const int rows = int(least(PANEL, features - panel * PANEL));
        for (int64_t example = 0; example < count; example += PANEL) {
            transpose<T>(side.by_example + (example * side.rows + panel * PANEL * PANEL), rows,
                         side.by_feature + (panel * stride + example) * PANEL, PANEL);
        }
    }
}

// From the numbers before the activation, by example.
template <class T>
void finish_by_example(const Layer<T>& layer, int64_t count, int64_t stride, int64_t first,
                       int64_t last, const Side<T>& out, T* pre) {
    turn_back<T>(out, layer.outputs, count, stride, first, last);
    const bool is_itself = layer.activation.curve == Curve::IDENTITY;
    if (pre || !is_itself) finish<T>(layer, count, stride, first, last, out, pre);
}

}  // namespace gradus::GRADUS_VARIANT
