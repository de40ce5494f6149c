// What the losses of a batch are divided by.
#pragma once

#include <cstdint>

#include "network.hpp"

namespace gradus {

// What one example adds to it, if all count alike.
template <class T>
double own_mass(const Risk<T>& risk, int64_t outputs, const int64_t* classes, int64_t example) {
    if (risk.mass == Mass::EXAMPLES) return 1;
    if (risk.mass == Mass::ELEMENTS) return double(outputs);
    const int64_t c = classes[example];
    if (c == risk.ignored) return 0;
    return risk.class_weights.empty() ? 1 : double(risk.class_weights[size_t(c)]);
}

// Of `count` examples; `weights` is what each counts, or null.
template <class T>
double mass_of(const Risk<T>& risk, int64_t outputs, const int64_t* classes, const T* weights,
               const int64_t* order, int64_t count) {
    if (risk.mass == Mass::ONE) return 1;
    if (!weights && risk.mass == Mass::EXAMPLES) return double(count);
    if (!weights && risk.mass == Mass::ELEMENTS) return double(count) * double(outputs);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        const double counted = weights ? double(weights[order[i]]) : 1;
        sum += own_mass(risk, outputs, classes, order[i]) * counted;
    }
    return sum;
}

}  // namespace gradus
