// What the losses of a batch are divided by.
#pragma once

#include <cstdint>

#include "network.hpp"

namespace gradus {

// The mean of n weights; 1 of none.
template <class T>
double mean_weight(const T* weights, int64_t n) {
    if (!weights) return 1;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += double(weights[i]);
    return sum / double(n);
}

// What one example adds to it, if all count alike.
template <class T>
double own_mass(const Risk<T>& risk, int64_t outputs, const int64_t* classes, int64_t example) {
    if (risk.mass == Mass::EXAMPLES) return 1;
    if (risk.mass == Mass::ELEMENTS) return double(outputs);
    const int64_t c = classes[example];
    if (c == risk.ignored) return 0;
    return risk.class_weights.empty() ? 1 : double(risk.class_weights[size_t(c)]);
}

// Of `count` examples; `weights` is what each counts, or null, and `weight` the mean of all of them,
// which stands for each: a batch divided by its own weights is no fair sample of the whole, and of
// one example they would say nothing. Where classes count apart a batch is divided by its own, as
// that of PyTorch is.
template <class T>
double mass_of(const Risk<T>& risk, int64_t outputs, const int64_t* classes, const T* weights,
               double weight, const int64_t* order, int64_t count) {
    if (risk.mass == Mass::ONE) return 1;
    if (risk.mass == Mass::EXAMPLES) return double(count) * weight;
    if (risk.mass == Mass::ELEMENTS) return double(count) * double(outputs) * weight;
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        const double counted = weights ? double(weights[order[i]]) : 1;
        sum += own_mass(risk, outputs, classes, order[i]) * counted;
    }
    return sum;
}

}  // namespace gradus
