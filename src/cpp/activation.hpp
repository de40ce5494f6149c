// What follows a layer: the activations of torch.nn that act on every number by itself, and their
// slopes.
#pragma once

#include "functions.hpp"
#include "kernels.hpp"

namespace gradus::GRADUS_VARIANT {

// x logistic(x). Error 3.3.
template <class T>
GRADUS_INLINE Vector<T> silu(Vector<T> x) {
    return x * logistic<T>(x);
}

// s + x s (1 - s) with s = logistic(x), at -|x|, where nothing cancels; at |x| it is 1 less that.
template <class T>
GRADUS_INLINE Vector<T> silu_slope(Vector<T> x) {
    const Vector<T> a = -at_most<T>(magnitude<T>(x), Format<T>::LOGISTIC_ZERO);
    const Vector<T> share = logistic<T>(a);
    const Vector<T> below = share * ((T(1) - share) * a + T(1));
    return x < T(0) ? below : T(1) - below;
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)).
template <class T>
GRADUS_INLINE Vector<T> softplus(Vector<T> x) {
    return at_least<T>(x, 0) + logarithm_plus_one<T>(exponential<T>(-magnitude<T>(x)));
}

// tanh(softplus(x)) = t and 1 - t, both by e = exp(-|x|), with which neither cancels:
// with E = exp(x), t = E (E + 2) / (E (E + 2) + 2).
template <class T>
struct Gate {
    Vector<T> open;
    Vector<T> rest;
};

template <class T>
GRADUS_INLINE Gate<T> gate(Vector<T> x) {
    const Vector<T> e = exponential<T>(-magnitude<T>(x)), square = e * e;
    const auto is_below = x < T(0);
    const Vector<T> open = is_below ? square + e * T(2) : e * T(2) + T(1);
    const Vector<T> rest = is_below ? every<T>(2) : square * T(2);
    return {open / (open + rest), rest / (open + rest)};
}

// x tanh(softplus(x)).
template <class T>
GRADUS_INLINE Vector<T> mish(Vector<T> x) {
    return x * gate<T>(x).open;
}

// t + x (1 - t^2) logistic(x).
template <class T>
GRADUS_INLINE Vector<T> mish_slope(Vector<T> x) {
    const Gate<T> g = gate<T>(x);
    return g.open + x * g.rest * (g.open + T(1)) * logistic<T>(x);
}

// Where z lies: below the inner piece or above it, whose ends belong to it where it is closed.
template <class T>
struct Place {
    Mask<T> below, above;

    GRADUS_INLINE Place(const Piecewise<T>& pieces, Vector<T> z)
        : below(pieces.is_closed ? z < pieces.low : z <= pieces.low),
          above(pieces.is_closed ? z > pieces.high : z >= pieces.high) {}

    GRADUS_INLINE Vector<T> choose(Vector<T> under, Vector<T> inner, Vector<T> over) const {
        return below ? under : above ? over : inner;
    }
};

// A line, where a flat one is its shift even of infinity.
template <class T>
GRADUS_INLINE Vector<T> line(T slope, T shift, Vector<T> z) {
    return slope == 0 ? every<T>(shift) : slope * z + shift;
}

template <class T>
GRADUS_INLINE Vector<T> activated(const Activation<T>& activation, Vector<T> z) {
    switch (activation.curve) {
        case Curve::RELU: return z < 0 ? Vector<T>{} : z;
        case Curve::TANH: return hyperbolic_tangent<T>(z);
        case Curve::SIGMOID: return logistic<T>(z);
        case Curve::GELU: return gelu<T>(z);
        case Curve::GELU_TANH: return gelu_tanh<T>(z);
        case Curve::SILU: return silu<T>(z);
        case Curve::MISH: return mish<T>(z);
        case Curve::SOFTSIGN: return z / (magnitude<T>(z) + T(1));
        case Curve::TANHSHRINK: return z - hyperbolic_tangent<T>(z);
        case Curve::SOFTPLUS: {
            const Softplus<T>& of = activation.softplus;
            const Vector<T> u = z * of.beta;
            return u > of.threshold ? z : softplus<T>(u) / of.beta;
        }
        case Curve::EXPONENTIAL: {
            const Exponential<T>& of = activation.exponential;
            return z > T(0) ? z * of.above : exponential_minus_one<T>(z * of.rate) * of.below;
        }
        case Curve::PIECES: {
            const Piecewise<T>& of = activation.pieces;
            return Place<T>(of, z).choose(line<T>(of.slope_below, of.shift_below, z),
                                          (of.bow * z + of.slope) * z + of.shift,
                                          line<T>(of.slope_above, of.shift_above, z));
        }
        default: return z;
    }
}

// The slope of the activation, from its value or from its argument (see takes_argument).
template <class T>
GRADUS_INLINE Vector<T> bend(const Activation<T>& activation, Vector<T> a) {
    const Vector<T> zero = {}, one = every<T>(1);
    switch (activation.curve) {
        case Curve::RELU: return a > zero ? one : zero;
        case Curve::TANH: return one - a * a;
        case Curve::SIGMOID: return a * (one - a);
        case Curve::GELU: return gelu_slope<T>(a);
        case Curve::GELU_TANH: return gelu_tanh_slope<T>(a);
        case Curve::SILU: return silu_slope<T>(a);
        case Curve::MISH: return mish_slope<T>(a);
        case Curve::SOFTSIGN: {
            const Vector<T> share = one / (magnitude<T>(a) + T(1));
            return share * share;
        }
        case Curve::TANHSHRINK: {
            const Vector<T> tanh = hyperbolic_tangent<T>(a);
            return tanh * tanh;
        }
        case Curve::SOFTPLUS: {
            const Vector<T> u = a * activation.softplus.beta;
            return u > activation.softplus.threshold ? one : logistic<T>(u);
        }
        case Curve::EXPONENTIAL: {
            const Exponential<T>& of = activation.exponential;
            return a > zero ? every<T>(of.above)
                            : exponential<T>(a * of.rate) * (of.below * of.rate);
        }
        case Curve::PIECES: {
            const Piecewise<T>& of = activation.pieces;
            return Place<T>(of, a).choose(every<T>(of.slope_below),
                                          2 * of.bow * a + of.slope, every<T>(of.slope_above));
        }
        default: return one;
    }
}

// A vector of numbers that need not be full, passed through.
template <class T, class F>
GRADUS_INLINE void each_vector(int64_t count, const T* in, F act) {
    constexpr int LANE = LANES<T>;
    for (int64_t at = 0; at < count; at += LANE) {
        T some[LANE] = {};
        const int64_t here = count - at < LANE ? count - at : LANE;
        for (int64_t lane = 0; lane < here; ++lane) some[lane] = in[at + lane];
        act(at, here, load<T>(some));
    }
}

// Kernels<T>::activate.
template <class T>
void activate_each(const Activation<T>& activation, int64_t count, const T* in, T* values,
                   T* slopes) {
    each_vector<T>(count, in, [&](int64_t at, int64_t here, Vector<T> z) GRADUS_INLINE_LAMBDA {
        const Vector<T> value = activated<T>(activation, z);
        const Vector<T> slope = bend<T>(activation, takes_argument(activation.curve) ? z : value);
        for (int64_t lane = 0; lane < here; ++lane) {
            values[at + lane] = value[lane];
            slopes[at + lane] = slope[lane];
        }
    });
}

}  // namespace gradus::GRADUS_VARIANT
