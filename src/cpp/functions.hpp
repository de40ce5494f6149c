// What an elementary function of a whole vector is: the ones that activations and losses need.
//
// Every lane takes the same path. An argument is brought into the range of one approximation with
// a few exact operations, and the cases at the ends of the number line come out of limits put on
// the argument, or of a choice between finished values. Whole numbers are read from and written
// into the bits of a floating-point number by adding a constant whose last bit counts ones, since
// AVX2 neither converts 64-bit integers nor shifts them with their sign.
//
// The compiler may join a product and a sum into one rounding (-ffp-contract=fast). What has to be
// exact is so either way: the high part of log 2 has enough trailing zeros that its multiples are
// exact, and a product with a power of two is exact anyhow.
//
// Errors are the largest seen over ten million arguments of each precision, with and without fused
// products, in units in the last place of the true value; those of the GELUs are in units in the
// last place of one, or of the value where it is larger, for of a layer's outputs the largest set
// the scale. Two numbers are for float and for double. Coefficients without a source were fitted
// for this file with 50 digits, close to the smallest possible error.
#pragma once

#include <cstdint>

#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// How a floating-point number is built from bits, and where its range ends.
template <class T>
struct Format;

template <>
struct Format<float> {
    typedef uint32_t Bits __attribute__((vector_size(WIDTH)));

    static constexpr int FRACTION = 23;
    static constexpr int BIAS = 127;
    static constexpr float COUNTER = 0x1.8p23f;     // its last bit counts ones, of either sign
    static constexpr uint32_t SIGN = 0x80000000;
    static constexpr uint32_t ONE = 0x3f800000;     // 1
    static constexpr uint32_t HALF = 0x3f3504f3;    // sqrt(1/2)
    static constexpr uint32_t DIGITS = 0x007fffff;  // all of the fraction
    static constexpr uint32_t WHOLE = 0x4b000000;   // 2^23
    static constexpr float WHOLE_VALUE = 0x1p23f;
    static constexpr float SMALLEST = 0x1p-126f;    // normal number

    // log 2 in two parts (Cody & Waite, Software Manual for the Elementary Functions, 1980).
    static constexpr float LOG2_HIGH = 0x1.63p-1f;
    static constexpr float LOG2_LOW = -2.12194440e-4f;

    // exp overflows and is zero beyond these, and the powers of two on the way still exist.
    static constexpr float EXP_LEAST = -87.5f;
    static constexpr float EXP_MOST = 88.8f;
    static constexpr float LOGISTIC_ZERO = 88.9f;   // at -x the logistic function is taken as 0
    static constexpr float INFINITE_POWER = 89.5f;  // a little above 129 log 2

    static constexpr float TANH_ONE = 9.1f;         // where tanh rounds to 1
    static constexpr float ERF_ONE = 3.95f;         // where erf does
    static constexpr float GAUSS_ZERO = 13.26f;     // where exp(-x^2/2) is taken as 0
    static constexpr float GELU_TANH_ZERO = 10.2f;  // where the logistic function in it is 0

    // (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2
    static constexpr float EXP[] = {0.5f, 0.16666546f, 0.041666385f, 0.008366192f, 0.0013939214f};

    // (log((1+s)/(1-s)) - 2s) / s^3 in s^2, for (1+s)/(1-s) from sqrt(1/2) to sqrt(2)
    static constexpr float LOG[] = {0.66666746f, 0.3998026f, 0.2980955f};

    // -log(1 - erf(a)) / a - 1 for 0 <= a <= ERF_ONE
    static constexpr float ERF[] = {
        0.12837917f,   0.63661945f,     0.10277718f,   -0.019150387f,   -0.0001657097f,
        0.0016726118f, -0.00063600787f, 0.00011855668f, -9.361183e-06f,
    };

    // Phi(-a) exp(a^2/2) for 0 <= a <= GAUSS_ZERO: a quotient of two polynomials
    static constexpr float MILLS_ABOVE[] = {0.49999997f, 0.3412502f, 0.10776886f, 0.014300753f};
    static constexpr float MILLS_BELOW[] = {1.0f, 1.4803816f, 0.89674586f, 0.26973432f,
                                            0.035858937f};
};

template <>
struct Format<double> {
    typedef uint64_t Bits __attribute__((vector_size(WIDTH)));

    static constexpr int FRACTION = 52;
    static constexpr int BIAS = 1023;
    static constexpr double COUNTER = 0x1.8p52;
    static constexpr uint64_t SIGN = 0x8000000000000000;
    static constexpr uint64_t ONE = 0x3ff0000000000000;
    static constexpr uint64_t HALF = 0x3fe6a09e667f3bcd;
    static constexpr uint64_t DIGITS = 0x000fffffffffffff;
    static constexpr uint64_t WHOLE = 0x4330000000000000;
    static constexpr double WHOLE_VALUE = 0x1p52;
    static constexpr double SMALLEST = 0x1p-1022;

    // log 2 in two parts, the high one of 32 bits.
    static constexpr double LOG2_HIGH = 0x1.62e42feep-1;
    static constexpr double LOG2_LOW = 1.90821492927058770002e-10;

    static constexpr double EXP_LEAST = -708.6;
    static constexpr double EXP_MOST = 709.9;
    static constexpr double LOGISTIC_ZERO = 710.0;
    static constexpr double INFINITE_POWER = 710.6;

    static constexpr double TANH_ONE = 19.2;
    static constexpr double ERF_ONE = 5.95;
    static constexpr double GAUSS_ZERO = 37.66;
    static constexpr double GELU_TANH_ZERO = 21.2;

    static constexpr double EXP[] = {
        0.5,
        0.16666666666666674,
        0.0416666666665926,
        0.008333333333322708,
        0.0013888888927361953,
        0.0001984126988364224,
        2.480150957086953e-05,
        2.755724652054029e-06,
        2.7624541215956527e-07,
        2.51082849664798e-08,
    };

    static constexpr double LOG[] = {
        0.6666666666666685,  0.3999999999970223,  0.28571428684223643, 0.22222204091484754,
        0.18183296133282134, 0.15320521320846583, 0.14734497497727705,
    };

    static constexpr double ERF[] = {
        0.12837916709551256,    0.6366197723675925,     0.10277260330122388,
        -0.019128446990914497,  -0.00020919488110202321, 0.0016962078751588307,
        -0.000590133455835295,  2.5908091034437807e-05, 6.441129811051864e-05,
        -2.95580677343538e-05,  3.143772074087675e-06,  3.1626496075802223e-06,
        -2.063981308594308e-06, 5.898031685086967e-07,  -2.262054694584319e-08,
        -6.079217676355859e-08, 3.281149140131699e-08,  -1.027307187940765e-08,
        2.2511121103220832e-09, -3.579339395406955e-10, 4.081800544612778e-11,
        -3.1804772288599824e-12, 1.520326860165881e-13, -3.36704007580004e-15,
    };

    static constexpr double MILLS_ABOVE[] = {
        0.5,
        0.755554485659615,
        0.5662208717159424,
        0.269563494032968,
        0.08887426743011223,
        0.02094181580281965,
        0.00352359743832476,
        0.00040920387808817847,
        2.994187984949318e-05,
        1.0636796095645052e-06,
    };
    static constexpr double MILLS_BELOW[] = {
        1.0,
        2.308993532122095,
        2.4747520337058018,
        1.6251581817815215,
        0.726164570207193,
        0.23145696558080384,
        0.05351373831367028,
        0.008907402094097704,
        0.0010283882610243773,
        7.505316261726953e-05,
        2.66624938453319e-06,
    };
};

template <class T>
using Bits = typename Format<T>::Bits;

// The lesser and the greater of two, the second where either is not a number. One instruction on
// x86, which GCC 12 does not choose for the comparison.
#if defined(__AVX512F__)
// With a mask of all lanes, as GCC 12 warns that without one a register is not initialised.
#define GRADUS_ONE_OF(WHICH, KIND) _mm512_maskz_##WHICH##_##KIND(-1, a, b)
#elif defined(__AVX__)
#define GRADUS_ONE_OF(WHICH, KIND) _mm256_##WHICH##_##KIND(a, b)
#elif defined(__SSE2__)
#define GRADUS_ONE_OF(WHICH, KIND) _mm_##WHICH##_##KIND(a, b)
#else
#define GRADUS_ONE_OF(WHICH, KIND) one_of_##WHICH(a, b)

template <class V>
GRADUS_INLINE V one_of_min(V a, V b) {
    return a < b ? a : b;
}

template <class V>
GRADUS_INLINE V one_of_max(V a, V b) {
    return a > b ? a : b;
}
#endif

GRADUS_INLINE Vector<float> lesser_of(Vector<float> a, Vector<float> b) {
    return GRADUS_ONE_OF(min, ps);
}

GRADUS_INLINE Vector<double> lesser_of(Vector<double> a, Vector<double> b) {
    return GRADUS_ONE_OF(min, pd);
}

GRADUS_INLINE Vector<float> greater_of(Vector<float> a, Vector<float> b) {
    return GRADUS_ONE_OF(max, ps);
}

GRADUS_INLINE Vector<double> greater_of(Vector<double> a, Vector<double> b) {
    return GRADUS_ONE_OF(max, pd);
}

#undef GRADUS_ONE_OF

template <class T>
GRADUS_INLINE Vector<T> at_most(Vector<T> x, T limit) {
    return lesser_of(every<T>(limit), x);
}

template <class T>
GRADUS_INLINE Vector<T> at_least(Vector<T> x, T limit) {
    return greater_of(every<T>(limit), x);
}

template <class T>
GRADUS_INLINE Vector<T> magnitude(Vector<T> x) {
    return (Vector<T>)((Bits<T>)x & ~Format<T>::SIGN);
}

template <class T>
GRADUS_INLINE Vector<T> with_sign_of(Vector<T> x, Vector<T> magnitude) {
    return (Vector<T>)((Bits<T>)magnitude | ((Bits<T>)x & Format<T>::SIGN));
}

// The terms FROM, FROM + STEP, ... of a polynomial in a power of x, by Horner's rule.
template <class T, int FROM, int STEP, int COUNT>
GRADUS_INLINE Vector<T> terms(Vector<T> power, const T (&coefficients)[COUNT]) {
    constexpr int LAST = FROM + (COUNT - 1 - FROM) / STEP * STEP;
    Vector<T> sum = every<T>(coefficients[LAST]);
#pragma GCC unroll 32
    for (int term = LAST - STEP; term >= FROM; term -= STEP) {
        sum = sum * power + coefficients[term];
    }
    return sum;
}

// A long polynomial is split into its even and its odd powers: one more product, half the wait.
template <class T, int COUNT>
GRADUS_INLINE Vector<T> polynomial(Vector<T> x, const T (&coefficients)[COUNT]) {
    if constexpr (COUNT < 6) {
        return terms<T, 0, 1>(x, coefficients);
    } else {
        const Vector<T> square = x * x;
        return terms<T, 1, 2>(square, coefficients) * x + terms<T, 0, 2>(square, coefficients);
    }
}

// exp(x) as 2^-HALVINGS (1 + rest) = exp(x) / scale: what is left of it beside a power of two.
template <class T>
struct Power {
    Vector<T> scale;
    Vector<T> rest;
};

// For x within the range where scale is a normal number, or one power of two below it: then 0.
template <class T, int HALVINGS = 0>
GRADUS_INLINE Power<T> power(Vector<T> x) {
    using F = Format<T>;
    constexpr T COUNTER = F::COUNTER + (F::BIAS - HALVINGS);
    const Vector<T> counter = x * T(1.442695040888963407) + COUNTER;
    const Vector<T> twos = counter - COUNTER;
    const Vector<T> r = (x - twos * F::LOG2_HIGH) - twos * F::LOG2_LOW;
    return {(Vector<T>)((Bits<T>)counter << F::FRACTION),
            r * r * polynomial<T>(r, F::EXP) + r};
}

// Error 1.4. Zero where the true value is below 2^-125.5 (2^-1021.5).
template <class T>
GRADUS_INLINE Vector<T> exponential(Vector<T> x) {
    using F = Format<T>;
    // Halved on the way, since 2^128 (2^1024) is not a number but exp(x) may be just below it.
    const Power<T> p = power<T, 1>(at_least<T>(at_most<T>(x, F::EXP_MOST), F::EXP_LEAST));
    const Vector<T> half = p.scale * p.rest + p.scale;
    return half + half;
}

// exp(x) - 1, as exact where x is small. Error 1.7 and 2.5.
template <class T>
GRADUS_INLINE Vector<T> exponential_minus_one(Vector<T> x) {
    using F = Format<T>;
    const Power<T> p = power<T, 1>(at_least<T>(at_most<T>(x, F::EXP_MOST), F::EXP_LEAST));
    const Vector<T> half = p.scale * p.rest + (p.scale - T(0.5));
    return half + half;
}

// log(2^twos (1 + f)), 1 + f from sqrt(1/2) to sqrt(2).
template <class T>
GRADUS_INLINE Vector<T> logarithm_of(Vector<T> twos, Vector<T> f) {
    using F = Format<T>;
    const Vector<T> s = f / (f + T(2));
    const Vector<T> square = s * s;
    const Vector<T> half = f * f * T(0.5);
    // log(1 + f) = f - (f^2/2 - s (f^2/2 + s^2 R(s^2))), as in FDLIBM (Sun Microsystems, 1993)
    const Vector<T> low = s * (square * polynomial<T>(square, F::LOG) + half) + twos * F::LOG2_LOW;
    return twos * F::LOG2_HIGH + (f - (half - low));
}

// log(1 + x) for x from 0 to 1, as exact where x is small. Error 1.4.
template <class T>
GRADUS_INLINE Vector<T> logarithm_plus_one(Vector<T> x) {
    const Vector<T> zero = {}, one = every<T>(1);
    const auto is_far = x > T(0.41421356237309504880);
    return logarithm_of<T>(is_far ? one : zero, is_far ? (x - T(1)) * T(0.5) : x);
}

// Error 0.9. A subnormal number counts as zero.
template <class T>
GRADUS_INLINE Vector<T> logarithm(Vector<T> x) {
    using F = Format<T>;
    // x = 2^twos (1 + f)
    const Bits<T> shifted = (Bits<T>)x + (F::ONE - F::HALF);
    const Vector<T> twos = (Vector<T>)((shifted >> F::FRACTION) | F::WHOLE) -
                           (F::WHOLE_VALUE + F::BIAS);
    const Vector<T> f = (Vector<T>)((shifted & F::DIGITS) + F::HALF) - T(1);
    const Vector<T> value = logarithm_of<T>(twos, f);

    const Vector<T> zero = {}, none = every<T>(__builtin_nan("")), all = every<T>(__builtin_inf());
    const Vector<T> below = x < zero ? none : -all;
    const Vector<T> finite = x < every<T>(F::SMALLEST) ? below : value;
    return x < all ? finite : x;
}

// Error 2.0 and 2.8. It is (1 - e) / (1 + e) with e = exp(-2 |x|).
template <class T>
GRADUS_INLINE Vector<T> hyperbolic_tangent(Vector<T> x) {
    const Vector<T> a = at_most<T>(magnitude<T>(x), Format<T>::TANH_ONE);
    const Power<T> p = power<T>(a * T(-2));
    const Vector<T> above = (T(1) - p.scale) - p.scale * p.rest;
    const Vector<T> below = (T(1) + p.scale) + p.scale * p.rest;
    return with_sign_of<T>(x, above / below);
}

// Error 2.4 and 2.6, where adding 1/2 is a tie between two sums. Zero below -LOGISTIC_ZERO, where
// the true value is a subnormal number.
template <class T>
GRADUS_INLINE Vector<T> logistic(Vector<T> x) {
    using F = Format<T>;
    // 1/2 over 1/2 + exp(-x)/2, where half the power of two is infinite from LOGISTIC_ZERO on
    const Vector<T> above = x < -F::LOGISTIC_ZERO ? every<T>(F::INFINITE_POWER) : -x;
    const Power<T> p = power<T, 1>(at_least<T>(above, F::EXP_LEAST));
    return T(0.5) / (p.scale * p.rest + (p.scale + T(0.5)));
}

// Error 2.1 and 3.0. It is 1 - exp(-y) with y = -log(1 - erf|x|), which keeps small values as exact
// as large ones.
template <class T>
GRADUS_INLINE Vector<T> error_function(Vector<T> x) {
    using F = Format<T>;
    const Vector<T> a = at_most<T>(magnitude<T>(x), F::ERF_ONE);
    const Power<T> p = power<T>(-(a * polynomial<T>(a, F::ERF) + a));
    return with_sign_of<T>(x, (T(1) - p.scale) - p.scale * p.rest);
}

// What both the value and the slope of the GELU are made of.
template <class T>
struct Gauss {
    Vector<T> distance;  // |x|, or where the others have become zero
    Vector<T> density;   // exp(-x^2/2)
    Vector<T> ratio;     // Phi(-|x|) / exp(-x^2/2)
};

template <class T>
GRADUS_INLINE Gauss<T> gauss(Vector<T> x) {
    using F = Format<T>;
    const Vector<T> a = at_most<T>(magnitude<T>(x), F::GAUSS_ZERO);
    const Power<T> p = power<T>(a * a * T(-0.5));
    return {a, p.scale * p.rest + p.scale,
            polynomial<T>(a, F::MILLS_ABOVE) / polynomial<T>(a, F::MILLS_BELOW)};
}

// x Phi(x) = max(x, 0) - |x| Phi(-|x|). Error 1.0; where |x| < 1, at most 4.8 of the value.
template <class T>
GRADUS_INLINE Vector<T> gelu(Vector<T> x) {
    const Gauss<T> g = gauss<T>(x);
    return at_least<T>(x, 0) - g.distance * g.density * g.ratio;
}

// Phi(x) + x phi(x). Error 1.5.
template <class T>
GRADUS_INLINE Vector<T> gelu_slope(Vector<T> x) {
    const Gauss<T> g = gauss<T>(x);
    const Vector<T> below = g.density * (g.ratio - g.distance * T(0.398942280401432677939946));
    return x < T(0) ? below : T(1) - below;
}

// GELU with tanh: x logistic(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3), as (1 + tanh(u/2)) / 2 is
// logistic(u).
template <class T>
struct Bend {
    static constexpr T LINEAR = T(1.5957691216057307117597842);
    static constexpr T CUBIC = T(0.044715 * 1.5957691216057307117597842);
};

// Error 2.0; where |x| < 1, at most 2.7 of the value.
template <class T>
GRADUS_INLINE Vector<T> gelu_tanh(Vector<T> x) {
    using B = Bend<T>;
    const Vector<T> a = at_least<T>(x, -Format<T>::GELU_TANH_ZERO);
    return a * logistic<T>(a * (a * a * B::CUBIC + B::LINEAR));
}

// Error 1.0. The slope at -|x|, where neither logistic(u) nor 1 less it cancels; at |x| it is 1
// less that.
template <class T>
GRADUS_INLINE Vector<T> gelu_tanh_slope(Vector<T> x) {
    using B = Bend<T>;
    const Vector<T> a = -at_most<T>(magnitude<T>(x), Format<T>::GELU_TANH_ZERO);
    const Vector<T> square = a * a;
    const Vector<T> share = logistic<T>(a * (square * B::CUBIC + B::LINEAR));
    const Vector<T> rate = a * (square * (3 * B::CUBIC) + B::LINEAR);
    const Vector<T> below = share * ((T(1) - share) * rate + T(1));
    return x < T(0) ? below : T(1) - below;
}

enum Function {
    EXPONENTIAL,
    LOGARITHM,
    HYPERBOLIC_TANGENT,
    LOGISTIC,
    ERROR_FUNCTION,
    GELU,
    GELU_SLOPE,
    GELU_TANH,
    GELU_TANH_SLOPE,
    EXPONENTIAL_MINUS_ONE,
    LOGARITHM_PLUS_ONE,
};

template <class T, class F>
GRADUS_INLINE void map_each(int64_t count, const T* in, T* out, F function) {
    constexpr int LANE = LANES<T>;
    int64_t at = 0;
    for (; at + LANE <= count; at += LANE) {
        store<T>(out + at, function(load<T>(in + at)));
    }
    if (at < count) {
        T last[LANE] = {};
        for (int lane = 0; lane < count - at; ++lane) last[lane] = in[at + lane];
        store<T>(last, function(load<T>(last)));
        for (int lane = 0; lane < count - at; ++lane) out[at + lane] = last[lane];
    }
}

// Writes the function of each of `count` numbers; `out` may be `in`.
template <class T>
void map(int function, int64_t count, const T* in, T* out) {
#define GRADUS_MAP(NAME, CALL)                                                       \
    case NAME:                                                                       \
        map_each<T>(count, in, out, [](Vector<T> x) __attribute__((always_inline)) { \
            return CALL<T>(x);                                                       \
        });                                                                          \
        break

    switch (function) {
        GRADUS_MAP(EXPONENTIAL, exponential);
        GRADUS_MAP(LOGARITHM, logarithm);
        GRADUS_MAP(HYPERBOLIC_TANGENT, hyperbolic_tangent);
        GRADUS_MAP(LOGISTIC, logistic);
        GRADUS_MAP(ERROR_FUNCTION, error_function);
        GRADUS_MAP(GELU, gelu);
        GRADUS_MAP(GELU_SLOPE, gelu_slope);
        GRADUS_MAP(GELU_TANH, gelu_tanh);
        GRADUS_MAP(GELU_TANH_SLOPE, gelu_tanh_slope);
        GRADUS_MAP(EXPONENTIAL_MINUS_ONE, exponential_minus_one);
        GRADUS_MAP(LOGARITHM_PLUS_ONE, logarithm_plus_one);
    }
#undef GRADUS_MAP
}

}  // namespace gradus::GRADUS_VARIANT
