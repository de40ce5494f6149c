// How w moves: the equations of the methods, for a vector of entries at a time.
//
// The same equations, in the same order of operations, as gradus.methods, against which they are
// tested. Every operation is rounded by itself, but for a product that enters a sum, of which
// Rounding says whether the two are rounded together.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// The numbers of a step, each in every lane: beside the entries that are written they would have to
// be read again and again, since the compiler cannot know that they are not written too.
template <class T>
GRADUS_INLINE Step<Vector<T>> in_every_lane(const Step<T>& step) {
    return {every(step.rate),    every(step.direction), every(step.decay),   every(step.keep),
            every(step.momentum), every(step.fresh),    every(step.ahead),   every(step.first),
            every(step.at_mean), every(step.second),    every(step.correction),
            every(step.inverse), every(step.eps),       every(step.bound),   every(step.slope),
            every(step.kink),    every(step.threshold), every(step.scale)};
}

// w + a * b: torch.add with alpha, and the last operation of torch.lerp and torch.addcmul.
template <class T, Rounding rounding>
GRADUS_INLINE Vector<T> plus_product(Vector<T> w, Vector<T> a, Vector<T> b) {
    constexpr bool once = rounding == Rounding::CHEAPEST ? HAS_FMA : rounding == Rounding::ONCE;
    if constexpr (once) return multiply_add<T>(a, b, w);
    else return w + a * b;
}

// The gradient with what the penalty, the direction and weight decay make of it.
template <class T, Regularization regularization, Rounding rounding>
GRADUS_INLINE Vector<T> whole_gradient(Vector<T> g, Vector<T> w, const Step<Vector<T>>& step) {
    if constexpr (regularization == Regularization::GRADIENT) {
        g += step.slope * w + step.kink * sign<T>(w);
    }
    if constexpr (regularization != Regularization::NONE) {
        g = plus_product<T, rounding>(step.direction * g, step.decay, w);
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

// Of what the root is taken, from what is remembered.
template <class T, Rule rule, Rounding rounding>
GRADUS_INLINE Vector<T> square_of(const T* s_at, const T* s2_at, const T* s3_at) {
    if constexpr (is_centered(rule)) {
        const Vector<T> mean = load(s2_at);
        return plus_product<T, rounding>(load(s_at), -mean, mean);
    } else {
        const bool is_first = rule == Rule::ADAGRAD || is_rmsprop(rule);
        return load(is_first ? s_at : rule == Rule::AMSGRAD ? s3_at : s2_at);
    }
}

// m + (1 - beta) (g - m), as torch.lerp: from the nearer end.
template <class T, Rounding rounding>
GRADUS_INLINE Vector<T> averaged(Vector<T> m, Vector<T> g, const Step<Vector<T>>& step) {
    const Vector<T> begin = step.at_mean > Vector<T>{} ? m : g;
    return plus_product<T, rounding>(begin, step.first, g - m);
}

// What a rule that takes a root remembers moves by the whole gradient; returned is that of which the
// root is taken.
template <class T, Rule rule, Rounding rounding>
GRADUS_INLINE Vector<T> accumulate(Vector<T> g, T* s_at, T* s2_at, T* s3_at,
                                   const Step<Vector<T>>& step) {
    if constexpr (rule == Rule::ADAGRAD) {
        const Vector<T> sum = plus_product<T, rounding>(load(s_at), g, g);
        store(s_at, sum);
        return sum;
    } else if constexpr (is_rmsprop(rule)) {
        const Vector<T> v =
            plus_product<T, rounding>(step.second * load(s_at), step.fresh * g, g);
        store(s_at, v);
        if constexpr (is_centered(rule)) {
            store(s2_at, averaged<T, rounding>(load(s2_at), g, step));
        }
        return square_of<T, rule, rounding>(s_at, s2_at, s3_at);
    } else {
        store(s_at, averaged<T, rounding>(load(s_at), g, step));
        Vector<T> v = plus_product<T, rounding>(step.second * load(s2_at), step.fresh * g, g);
        store(s2_at, v);
        if constexpr (rule == Rule::AMSGRAD) {
            v = larger<T>(load(s3_at), v);
            store(s3_at, v);
        }
        return v;
    }
}

// w after the step of a rule that takes a root, given the root and the whole gradient.
template <class T, Rule rule, Rounding rounding>
GRADUS_INLINE Vector<T> divided_step(Vector<T> w, Vector<T> g, T* s_at, T* s2_at, T* s3_at,
                                     Vector<T> root, const Step<Vector<T>>& step) {
    if constexpr (has_buffer(rule)) {
        T* const buffer_at = is_centered(rule) ? s3_at : s2_at;
        const Vector<T> buffer = step.momentum * load(buffer_at) + g / (root + step.eps);
        store(buffer_at, buffer);
        return plus_product<T, rounding>(w, -step.rate, buffer);
    } else if constexpr (rule == Rule::ADAGRAD || is_rmsprop(rule)) {
        return w - step.rate * g / (root + step.eps);
    } else {
        if constexpr (rounding == Rounding::CHEAPEST) root = root * step.inverse;
        else root = root / step.correction;
        return step.keep * w - step.rate * load(s_at) / (root + step.eps);
    }
}

// w after the step of the other adaptive rules, by the whole gradient: there and in what they
// remember.
template <class T, Rule rule, Rounding rounding>
GRADUS_INLINE Vector<T> adaptive_step(Vector<T> w, Vector<T> g, T* s_at, T* s2_at,
                                      const Step<Vector<T>>& step) {
    const Vector<T> zero = {}, before = load(s_at);
    const auto mean_of_squares = [&](Vector<T> mean, Vector<T> each) GRADUS_INLINE_LAMBDA {
        return plus_product<T, rounding>(step.second * mean, step.fresh * each, each);
    };
    if constexpr (rule == Rule::LION) {
        store(s_at, step.second * before + step.fresh * g);
        return step.keep * w - step.rate * sign<T>(step.momentum * before + step.first * g);
    } else if constexpr (rule == Rule::ADADELTA) {
        const Vector<T> v = mean_of_squares(before, g), u = load(s2_at);
        const Vector<T> delta = root<T>(u + step.eps) / root<T>(v + step.eps) * g;
        store(s_at, v);
        store(s2_at, mean_of_squares(u, delta));
        return w - step.rate * delta;
    } else if constexpr (rule == Rule::ADOPT) {
        const Vector<T> v = load(s2_at);
        const Vector<T> ratio = g / larger<T>(root<T>(v), step.eps);
        const Vector<T> short_of = larger<T>(ratio, -step.bound);
        const Vector<T> bounded = short_of > step.bound ? step.bound : short_of;
        const Vector<T> m = step.momentum * before + step.first * bounded;
        store(s_at, m);
        store(s2_at, mean_of_squares(v, g));
        return step.keep * w - step.rate * m;
    } else if constexpr (rule == Rule::FTRL) {
        const Vector<T> n = load(s2_at), sum = n + g * g, length = root<T>(sum);
        const Vector<T> z = before + g - (length - root<T>(n)) / step.rate * w;
        const Vector<T> left = larger<T>(absolute<T>(z) - step.bound, zero);
        store(s_at, z);
        store(s2_at, sum);
        return -sign<T>(z) * left / ((length + step.eps) / step.rate + step.momentum);
    } else {
        const Vector<T> m = averaged<T, rounding>(before, g, step);
        store(s_at, m);
        if constexpr (rule == Rule::ADAMAX) {
            const Vector<T> u = larger<T>(step.second * load(s2_at), absolute<T>(g) + step.eps);
            store(s2_at, u);
            return w - step.rate * m / u;
        }
        const Vector<T> v = mean_of_squares(load(s2_at), g);
        store(s2_at, v);
        if constexpr (rule == Rule::NADAM) {
            const Vector<T> denominator = root<T>(v) * step.inverse + step.eps;
            return step.keep * w - (step.rate * g + step.momentum * m) / denominator;
        } else {
            const Vector<T> scale = step.inverse / (root<T>(v) + step.eps);
            return step.keep * w - step.rate * m * (step.inverse > zero ? scale : every<T>(1));
        }
    }
}

// Entries of w, of the gradient, and of what the method remembers: all move by one step.
template <class T, Rule rule, Regularization regularization, Rounding rounding>
GRADUS_INLINE void move(Vector<T> g, T* w_at, T* s_at, T* s2_at, T* s3_at,
                        const Step<Vector<T>>& step) {
    constexpr Regularization R = regularization;
    Vector<T> w = load(w_at);
    g = whole_gradient<T, R, rounding>(g, w, step);
    const auto plus = [](Vector<T> to, Vector<T> a, Vector<T> b) GRADUS_INLINE_LAMBDA {
        return plus_product<T, rounding>(to, a, b);
    };
    if constexpr (rule == Rule::DESCENT) {
        w = proximal<T, R>(plus(w, -step.rate, g), step);
    } else if constexpr (rule == Rule::POLYAK) {
        const Vector<T> previous = load(s_at);
        store(s_at, w);
        w = proximal<T, R>(plus(plus(w, -step.rate, g), step.momentum, w - previous), step);
    } else if constexpr (rule == Rule::NESTEROV) {
        // The weights stand at the query, where the gradient is taken; s is the iterate.
        const Vector<T> previous = load(s_at);
        const Vector<T> after = proximal<T, R>(plus(w, -step.rate, g), step);
        store(s_at, after);
        w = plus(after, step.ahead, after - previous);
    } else if constexpr (rule == Rule::SGD || rule == Rule::SGD_NESTEROV) {
        const Vector<T> buffer = plus(step.momentum * load(s_at), step.fresh, g);
        store(s_at, buffer);
        g = rule == Rule::SGD ? buffer : plus(g, step.momentum, buffer);
        w = proximal<T, R>(plus(w, -step.rate, g), step);
    } else if constexpr (moves_apart(rule)) {
        w = proximal<T, R>(adaptive_step<T, rule, rounding>(w, g, s_at, s2_at, step), step);
    } else {
        const Vector<T> square = accumulate<T, rule, rounding>(g, s_at, s2_at, s3_at, step);
        w = proximal<T, R>(
            divided_step<T, rule, rounding>(w, g, s_at, s2_at, s3_at, root<T>(square), step), step);
    }
    store(w_at, w);
}

}  // namespace gradus::GRADUS_VARIANT
