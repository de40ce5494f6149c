#include "upkeep.hpp"

namespace gradus {

Upkeep upkeep_of(const Method& method, const Penalty& penalty, const Clip& clip) {
    const bool by_gradient =
        !penalty.proximal && (penalty.absolute != 0 || penalty.square != 0);
    const bool kinks = by_gradient && penalty.absolute != 0;
    const bool thresholds = penalty.proximal && penalty.absolute != 0;
    const bool decays = method.weight_decay != 0 || by_gradient;
    const bool shrinks = decays || (penalty.proximal && (thresholds || penalty.square != 0));
    if (kinks || (by_gradient && clip.clips())) return Upkeep::ALL;
    switch (method.rule) {
        case Rule::DESCENT: return shrinks ? Upkeep::SHRINK : Upkeep::NOTHING;
        case Rule::ADAGRAD:
            // Without eps a weight that nothing has moved yet is divided by 0.
            if (decays || method.eps == 0) return Upkeep::ALL;
            return shrinks ? Upkeep::SHRINK : Upkeep::NOTHING;
        case Rule::FTRL:
            // What the penalties of the method make of the start is known at the first step.
            return shrinks || method.eps == 0 ? Upkeep::ALL : Upkeep::ONCE;
        case Rule::POLYAK:
        case Rule::NESTEROV:
        case Rule::SGD:
        case Rule::SGD_NESTEROV: return thresholds ? Upkeep::ALL : Upkeep::LINEAR;
        default: return Upkeep::ALL;
    }
}

Shrinking shrunk_further(const Shrinking& before, const Method& method, const Penalty& penalty,
                         double alpha) {
    const double direction = method.maximize ? -1 : 1;
    double p = 1 - alpha * method.weight_decay;
    if (!penalty.proximal) {
        p -= alpha * direction * penalty.square;
        return {before.scale * p, before.threshold};
    }
    const double a = alpha * penalty.absolute, s = 1 / (1 + alpha * penalty.square);
    return {before.scale * p * s, before.threshold + a / (p * before.scale)};
}

void Products::look_back(int64_t most) {
    latest_ = {ONE};
    for (int64_t step = steps() - 1; step >= 0 && int64_t(latest_.size()) <= most; --step) {
        latest_.push_back(latest_.back() * single()[size_t(step)]);
    }
}

void Products::add(const Matrix2& step) {
    latest_.clear();
    if (levels_.empty()) levels_.emplace_back();
    if (steps() == 0 || step != single().back()) alike_from_ = steps();
    levels_[0].push_back(step);
    for (size_t level = 0; levels_[level].size() % 2 == 0; ++level) {
        const std::vector<Matrix2>& below = levels_[level];
        const Matrix2 product = below[below.size() - 1] * below[below.size() - 2];
        if (levels_.size() == level + 1) levels_.emplace_back();
        levels_[level + 1].push_back(product);
    }
    const int64_t alike = steps() - alike_from_;
    if (alike < ALIKE || alike % ALIKE != 0) return;
    if (alike == ALIKE && (powers_.empty() || powers_[1] != step)) {
        powers_ = {ONE};
        while (int64_t(powers_.size()) < ALIKE) powers_.push_back(step * powers_.back());
        more_powers_ = {ONE, step * powers_.back()};
    }
    if (alike / ALIKE == int64_t(more_powers_.size())) {
        more_powers_.push_back(more_powers_[1] * more_powers_.back());
    }
}

Matrix2 matrix_of(const Kernels<double>& kernels, const Method& method, const Penalty& penalty,
                  const Step<double>& step) {
    // The first weight is 1 and remembers 0, the second is 0 and remembers 1.
    double w[PANEL] = {1, 0}, s[PANEL] = {0, 1}, gradient[PANEL] = {};
    Layer<double> layer{};
    layer.inputs = 1;
    layer.outputs = layer.sets = PANEL;
    layer.weights = w;
    layer.state[0] = s;
    layer.gradient = gradient;
    kernels.update(layer, {}, gradient, 0, 0, 0, 1, true, true, method.rule,
                   regularization(method, penalty), step);
    return {w[0], w[1], s[0], s[1]};
}

}  // namespace gradus
