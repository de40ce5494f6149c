// How w moves: the equations of the methods, for a vector of entries at a time.
//
// The same equations, in the same order of operations, as gradus.methods, against which they are
// tested.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// The numbers of a step, each in every lane: beside the entries that are written they would have to
// be read again and again, since the compiler cannot know that they are not written too.
template <class T>
GRADUS_INLINE Step<Vector<T>> in_every_lane(const Step<T>& step) {
    return {every(step.rate),   every(step.direction), every(step.decay),      every(step.keep),
            every(step.momentum), every(step.fresh),   every(step.ahead),      every(step.first),
            every(step.second), every(step.correction), every(step.eps),       every(step.slope),
            every(step.kink),   every(step.threshold), every(step.scale)};
}

// The gradient with what the penalty, the direction and weight decay make of it.
template <class T, Regularization regularization>
GRADUS_INLINE Vector<T> whole_gradient(Vector<T> g, Vector<T> w, const Step<Vector<T>>& step) {
    if constexpr (regularization == Regularization::GRADIENT) {
        g += step.slope * w + step.kink * sign<T>(w);
    }
    if constexpr (regularization != Regularization::NONE) {
        g = step.direction * g + step.decay * w;
    }
    return g;
}

// The proximal step of the penalty, where it is taken entry by entry.
template <class T, Regularization regularization>
GRADUS_INLINE Vector<T> proximal(Vector<T> w, const Step<Vector<T>>& step) {
    if constexpr (regularization == Regularization::PROXIMAL) {
        const Vector<T> left = absolute<T>(w) - step.threshold, zero = {};
        w = sign<T>(w) * (left < zero ? zero : left) * step.scale;  // NaN stays NaN
    }
    return w;
}

// Entries of w, of the gradient, and of what the method remembers: all move by one step.
template <class T, Rule rule, Regularization regularization>
GRADUS_INLINE void move(Vector<T> g, T* w_at, T* s_at, T* s2_at, T* s3_at,
                       const Step<Vector<T>>& step) {
    constexpr Regularization R = regularization;
    Vector<T> w = load(w_at);
    g = whole_gradient<T, R>(g, w, step);
    if constexpr (rule == Rule::DESCENT) {
        w = proximal<T, R>(w - step.rate * g, step);
    } else if constexpr (rule == Rule::POLYAK) {
        const Vector<T> previous = load(s_at);
        store(s_at, w);
        w = proximal<T, R>(w - step.rate * g + step.momentum * (w - previous), step);
    } else if constexpr (rule == Rule::NESTEROV) {
        // The weights stand at the query, where the gradient is taken; s is the iterate.
        const Vector<T> previous = load(s_at);
        const Vector<T> after = proximal<T, R>(w - step.rate * g, step);
        store(s_at, after);
        w = after + step.ahead * (after - previous);
    } else if constexpr (rule == Rule::SGD || rule == Rule::SGD_NESTEROV) {
        const Vector<T> buffer = step.momentum * load(s_at) + step.fresh * g;
        store(s_at, buffer);
        g = rule == Rule::SGD ? buffer : g + step.momentum * buffer;
        w = proximal<T, R>(w - step.rate * g, step);
    } else {
        w = step.keep * w;
        Vector<T> m = load(s_at), v = load(s2_at);
        m += step.first * (g - m);
        v = step.second * v + step.fresh * (g * g);
        store(s_at, m);
        store(s2_at, v);
        if constexpr (rule == Rule::AMSGRAD) {
            v = larger<T>(load(s3_at), v);
            store(s3_at, v);
        }
        w = proximal<T, R>(w - step.rate * m / (root<T>(v) * step.correction + step.eps), step);
    }
    store(w_at, w);
}

}  // namespace gradus::GRADUS_VARIANT
