// What becomes of a column of weights in steps that do not touch it: nothing, or something that can
// be made up for at once when it is touched again.
//
// With gradient 0 a step of a linear model is, weight by weight,
//
//     SHRINK   |w| <- max(p |w| - a, 0) s        p of weight decay, a and s of a proximal step
//     LINEAR   (w, s) <- A_t (w, s)              momentum, with decay or without
//
// The steps of SHRINK from t on are one such step, of a scale and a threshold that are the same for
// all columns; with v = w / (the product of all p s so far) only the threshold is left to make up
// for (Langford, Li & Zhang, "Sparse online learning via truncated gradient", 2009, for gradient
// steps). Those of LINEAR are a product of matrices; it is made of the products over 2, 4, 8, ...
// steps, of which a column needs as many as its absence has binary digits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "method.hpp"

namespace gradus {

// ONCE: the first step moves every weight, and then nothing. ALL: a step moves every weight as it
// likes, and pays for it.
enum class Upkeep { NOTHING, ONCE, SHRINK, LINEAR, ALL };

Upkeep upkeep_of(const Method& method, const Penalty& penalty, const Clip& clip);

// One more step of SHRINK at the learning rate alpha.
Shrinking shrunk_further(const Shrinking& before, const Method& method, const Penalty& penalty,
                         double alpha);

// Of w and of what is remembered: rows of two numbers.
using Matrix2 = std::array<double, 4>;

inline Matrix2 operator*(const Matrix2& a, const Matrix2& b) {
    return {a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3],
            a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]};
}

// The matrices of steps, and their products.
class Products {
public:
    int64_t steps() const { return levels_.empty() ? 0 : int64_t(levels_[0].size()); }
    const std::vector<Matrix2>& single() const { return levels_[0]; }

    void clear() {
        levels_.clear();
        latest_.clear();
    }
    void add(const Matrix2& step);

    // The columns of a batch ask for so many products: as many of the latest are made one of the
    // other, until the next step.
    void look_back(int64_t most);

    // Of all steps from one to the latest.
    Matrix2 since(int64_t step) const {
        const int64_t end = steps();
        if (end - step < int64_t(latest_.size())) return latest_[size_t(end - step)];
        if (step >= alike_from_ && end - alike_from_ >= ALIKE) {
            const int64_t times = end - step;
            const Matrix2& few = powers_[size_t(times % ALIKE)];
            return times < ALIKE ? few : few * more_powers_[size_t(times / ALIKE)];
        }
        Matrix2 product = ONE;
        while (step < end) {
            const size_t level = level_at(step, end);
            product = levels_[level][size_t(step >> level)] * product;
            step += int64_t(1) << level;
        }
        return product;
    }

    // Move w and s, `count` numbers each, by them.
    template <class T>
    void catch_up(int64_t step, int64_t count, T* w, T* s) const {
        if (step == steps()) return;
        const Matrix2 a = since(step);
        for (int64_t i = 0; i < count; ++i) {
            const double first = double(w[i]), second = double(s[i]);
            w[i] = T(a[0] * first + a[1] * second);
            s[i] = T(a[2] * first + a[3] * second);
        }
    }

private:
    static constexpr Matrix2 ONE{1, 0, 0, 1};
    // From so many alike on, as at a constant learning rate, their product is a power that is known.
    static constexpr int64_t ALIKE = 1024;

    // The longest product that begins at a step and ends in time.
    static size_t level_at(int64_t step, int64_t end) {
        const int longest = 63 - __builtin_clzll(uint64_t(end - step));
        const int aligned = step == 0 ? longest : __builtin_ctzll(uint64_t(step));
        return size_t(aligned < longest ? aligned : longest);
    }

    std::vector<std::vector<Matrix2>> levels_;  // [level][step / 2^level]
    int64_t alike_from_ = 0;  // all steps from this one on are the same
    std::vector<Matrix2> powers_, more_powers_;  // of it, and of what it does ALIKE times
    std::vector<Matrix2> latest_;  // over the last 0, 1, 2, ... steps
};

// What a step of LINEAR does to w and s, asked of the kernels themselves.
Matrix2 matrix_of(const Kernels<double>& kernels, const Method& method, const Penalty& penalty,
                  const Step<double>& step);

}  // namespace gradus
