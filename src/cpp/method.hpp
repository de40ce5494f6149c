// What a step multiplies by: the hyper-parameters of a method, and its numbers at step t.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "kernels.hpp"

namespace gradus {

// The momenta of NAdam, which grow with the step, and the product of those so far.
class Momenta {
public:
    Momenta() = default;
    Momenta(double beta, double decay) : beta_(beta), decay_(decay) {
        double product = at(1);
        for (int64_t t = 2; product > NOTHING && t < MOST; ++t) {
            products_.push_back(product);
            product *= at(t);
        }
    }

    double at(int64_t t) const {
        return beta_ * (1 - 0.5 * std::pow(0.96, double(t) * decay_));
    }
    double product(int64_t t) const {
        return t <= int64_t(products_.size()) ? products_[size_t(t - 1)] : 0;
    }

private:
    static constexpr double NOTHING = 1e-17;  // beside 1
    static constexpr int64_t MOST = 1 << 20;

    double beta_ = 0, decay_ = 0;
    std::vector<double> products_;
};

struct Method {
    Rule rule = Rule::DESCENT;
    double momentum = 0, dampening = 0, weight_decay = 0;
    bool decoupled = false;  // weight decay apart from the gradient, as in AdamW
    bool maximize = false;
    double beta1 = 0, beta2 = 0, eps = 0;  // RMSprop's one weight of the past is both betas
    double lr_decay = 0;
    double l1 = 0, l2 = 0;  // of FTRL, whose beta is eps
    Momenta momenta;
};

// Beside an eps, a mean that is flushed counts nothing in a denominator.
inline bool flushes(const Method& method) {
    return !is_adaptive(method.rule) || method.rule == Rule::LION || method.eps > 1e-15;
}

// lambda_1 sum |w| + lambda_2 / 2 sum w^2 + lambda |w|, by its gradient or by its proximal step.
struct Penalty {
    double absolute = 0, square = 0, norm = 0;
    bool proximal = false;
};

// How long the gradient of a batch may be, that of the penalty in it, and how large its entries.
struct Clip {
    double norm = std::numeric_limits<double>::infinity();
    double value = std::numeric_limits<double>::infinity();

    bool clips() const { return norm < INFINITY || value < INFINITY; }

    // What a gradient of this length is multiplied by; as torch.nn.utils.clip_grad_norm_, which lets
    // no number pass that is none.
    double factor(double length) const {
        const double within = norm / (length + 1e-6);
        return within > 1 || norm == INFINITY ? 1 : within;
    }
};

inline Regularization regularization(const Method& method, const Penalty& penalty) {
    const bool by_entry = penalty.absolute != 0 || penalty.square != 0;
    if (penalty.proximal && by_entry) return Regularization::PROXIMAL;
    const bool decays = method.weight_decay != 0 && !method.decoupled;
    const bool penalised = !penalty.proximal && (by_entry || penalty.norm != 0);
    return penalised || decays || method.maximize ? Regularization::GRADIENT : Regularization::NONE;
}

// The numbers of step t (counted from 0) with learning rate alpha, where |w| is `length`, if asked.
template <class T>
Step<T> numbers(const Method& method, const Penalty& penalty, double alpha, double ahead, int64_t t,
                double length) {
    const Rule rule = method.rule;
    const bool corrects = rule == Rule::ADAM || rule == Rule::AMSGRAD || rule == Rule::ADAMAX ||
                          rule == Rule::RADAM;
    const bool corrects_root = (corrects && rule != Rule::ADAMAX) || rule == Rule::NADAM;
    const double seen = double(t + 1);
    const double unseen = corrects_root ? 1 - std::pow(method.beta2, seen) : 1;
    Step<T> step{};
    // In double and in this order, as Python computes them for torch.optim.
    step.rate = T(corrects ? alpha / (1 - std::pow(method.beta1, seen))
                         : alpha / (1 + double(t) * method.lr_decay));
    step.direction = T(method.maximize ? -1 : 1);
    step.decay = T(method.decoupled ? 0 : method.weight_decay);
    step.keep = T(method.decoupled ? 1 - alpha * method.weight_decay : 1);
    step.momentum = T(method.momentum);
    step.ahead = T(ahead);
    // As torch.lerp: from the nearer end.
    const T first = T(1 - method.beta1);
    const bool is_nearer = first < T(0.5);
    step.first = is_nearer ? first : first - 1;
    step.at_mean = T(is_nearer);
    step.second = T(method.beta2);
    const double correction = corrects_root ? std::pow(unseen, 0.5) : 1;
    step.correction = T(correction);
    step.inverse = T(1 / correction);
    step.eps = T(method.eps);
    // The buffer of SGD begins with the whole gradient.
    step.fresh = T(is_adaptive(rule) ? 1 - method.beta2 : t == 0 ? 1 : 1 - method.dampening);
    switch (rule) {
        case Rule::NADAM: {
            const double now = method.momenta.at(t + 1), next = method.momenta.at(t + 2);
            const double product = method.momenta.product(t + 1);
            step.rate = T(alpha * (1 - now) / (1 - product));
            step.momentum = T(alpha * next / (1 - product * next));
            break;
        }
        case Rule::RADAM: {
            const double most = 2 / (1 - method.beta2) - 1;
            const double length = most - 2 * seen * (1 - unseen) / unseen;
            const double squared = (length - 4) * (length - 2) * most /
                                   ((most - 4) * (most - 2) * length);
            step.inverse = T(length > 5 ? std::pow(squared, 0.5) * correction : 0);
            break;
        }
        case Rule::ADOPT:  // the first step only looks
            step.bound = T(std::pow(double(t), 0.25));
            if (t == 0) {
                step.keep = 1;
                step.second = 0;
                step.fresh = 1;
            }
            [[fallthrough]];
        case Rule::LION:
            step.momentum = T(method.beta1);
            step.first = T(1 - method.beta1);
            break;
        case Rule::FTRL:
            step.bound = T(method.l1);
            step.momentum = T(method.l2);
            break;
        default: break;
    }
    if (penalty.proximal) {
        step.threshold = T(alpha * penalty.absolute);
        step.scale = T(1 / (1 + alpha * penalty.square));
    } else {
        step.slope = T(penalty.square + (length > 0 ? penalty.norm / length : 0));
        step.kink = T(penalty.absolute);
    }
    return step;
}

}  // namespace gradus
