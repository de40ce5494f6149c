// Where a thread takes the steps of a linear model: what it brings together for a batch.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "sparse.hpp"

namespace gradus {

constexpr int64_t BLOCK = 64;     // examples whose outputs are held at once
constexpr size_t MANY = 1 << 22;  // non-zeros of a batch whose places are not written down

inline int64_t padded(int64_t numbers) { return panels(numbers) * PANEL; }

// A column of numbers as a layer whose weights are one panel: by its gradient, which is there.
template <class T>
void move(const Kernels<T>& kernels, int64_t numbers, T* w, T* const* state, T* gradient,
          const Method& method, Regularization how, const Step<T>& step) {
    Layer<T> layer{};
    layer.inputs = panels(numbers);
    layer.outputs = layer.sets = PANEL;
    layer.weights = w;
    std::copy_n(state, 3, layer.state);
    layer.gradient = gradient;
    kernels.update(layer, {}, gradient, 0, 0, 0, layer.inputs, true, true, method.rule, how, step);
}

// The columns of a batch side by side, and what its examples give.
template <class T>
class Sparse<T>::Bench {
public:
    explicit Bench(Sparse& of) : n_(of), m_(of.outputs_), z_(size_t(BLOCK * m_)),
                                 deltas_(size_t(BLOCK * m_)), numbers_(size_t(BLOCK * m_)) {}

    // Make the columns of a batch ready. Where every weight moves, they stay where they are.
    void take(const SparseExamples<T>& examples, const int64_t* order, int64_t count, bool all,
              const Shrinking& shrinking) {
        examples_ = &examples, order_ = order, count_ = count, all_ = all;
        list_columns();
        if (all) {
            width_ = n_.size();
            if (whole_.empty()) whole_.resize(size_t(padded(width_)));
            gradient_ = whole_.data();
            for (int c = 0; c < n_.columns_; ++c) at_[c] = n_.memory_[size_t(c)].data();
            return;
        }
        width_ = int64_t(list_.size()) * m_;
        const size_t room = size_t(padded(width_));
        if (own_gradient_.size() < room) own_gradient_.resize(room);
        gradient_ = own_gradient_.data();
        std::fill_n(gradient_, room, T(0));
        for (int c = 0; c < n_.columns_; ++c) {
            std::vector<T>& own = own_[c];
            if (own.size() < room) own.resize(room);
            const bool is_weight = c == 0 && n_.upkeep_ == Upkeep::SHRINK;
            n_.kernels_.take(columns(), is_weight ? shrinking : Shrinking{1, 0},
                             is_weight && !n_.behind_.empty() ? n_.behind_.data() : nullptr,
                             n_.memory_[size_t(c)].data(), own.data());
            std::fill(own.begin() + width_, own.begin() + int64_t(room), T(0));
            at_[c] = own.data();
        }
        if (n_.upkeep_ == Upkeep::LINEAR) {
            n_.products_.look_back(int64_t(list_.size()));
            for (size_t i = 0; i < list_.size(); ++i) {
                n_.products_.catch_up(int64_t(n_.behind_[size_t(list_[i])]), m_,
                                      at_[0] + int64_t(i) * m_, at_[1] + int64_t(i) * m_);
            }
        }
    }

    // The mean of the losses with these weights; the gradient of it, if it is asked for.
    double evaluate(const T* weights, double mass, bool with_gradient) {
        double sum = 0;
        for (int64_t from = 0; from < count_; from += BLOCK) {
            sum += block(weights, from, std::min(BLOCK, count_ - from), mass, with_gradient);
        }
        return mass == 0 ? 0 : sum / mass;
    }

    T* weights() { return at_[0]; }
    T* remembered() { return at_[1]; }

    void move(const Step<T>& given) {
        Step<T> step = given;
        if (n_.clip_.clips()) clip(step);
        gradus::move(n_.kernels_, width_, at_[0], at_ + 1, gradient_, n_.method_,
                     regularization(n_.method_, n_.penalty_), step);
    }

    // Put the columns back, as they are after the step.
    void put(const Shrinking& after) {
        for (int c = 0; !all_ && c < n_.columns_; ++c) {
            const bool is_weight = c == 0 && n_.upkeep_ == Upkeep::SHRINK;
            n_.kernels_.put(columns(), is_weight ? after : Shrinking{1, 0},
                            is_weight && !n_.behind_.empty() ? n_.behind_.data() : nullptr,
                            at_[c], n_.memory_[size_t(c)].data());
        }
        leave();
    }

    // Forget the batch.
    void leave() {
        if (all_ && n_.clip_.clips()) {
            std::fill_n(gradient_, width_, T(0));  // that of the penalty was in it
        } else if (all_) {
            for (const int32_t column : list_) {
                std::fill_n(gradient_ + column * m_, m_, T(0));
            }
        }
        if (count_ > 1) {
            for (const int32_t column : list_) places_[size_t(column)] = -1;
        }
    }

    const std::vector<int32_t>& list() const { return list_; }

private:
    Columns columns() const { return {list_.data(), int64_t(list_.size()), m_}; }

    void list_columns() {
        list_.clear();
        if (count_ == 1) {
            const int64_t row = order_[0];
            list_.assign(examples_->columns + examples_->starts[row],
                         examples_->columns + examples_->starts[row + 1]);
        } else {
            if (places_.empty()) places_.assign(size_t(n_.features_ + 1), -1);
            placed_.clear();
            begins_.clear();
            for (int64_t i = 0; i < count_; ++i) {
                const int64_t row = order_[i];
                begins_.push_back(int64_t(placed_.size()));
                for (int64_t k = examples_->starts[row]; k < examples_->starts[row + 1]; ++k) {
                    const int32_t column = examples_->columns[k];
                    int32_t& place = places_[size_t(column)];
                    if (place < 0) {
                        place = int32_t(list_.size());
                        list_.push_back(column);
                    }
                    if (placed_.size() < MANY) placed_.push_back(place);
                }
            }
        }
        if (!n_.has_bias_) return;
        if (count_ > 1) places_[size_t(n_.features_)] = int32_t(list_.size());
        list_.push_back(int32_t(n_.features_));
    }

    int64_t place_of_bias() const { return all_ ? n_.features_ : int64_t(list_.size()) - 1; }

    Row<T> row(int64_t example) const {
        const int64_t first = examples_->starts[order_[example]];
        const int64_t length = examples_->starts[order_[example] + 1] - first;
        const T* const values = examples_->values + first;
        if (all_) return {values, length, examples_->columns + first, nullptr};
        if (count_ == 1) return {values, length, nullptr, nullptr};
        if (placed_.size() < MANY) {
            return {values, length, placed_.data() + begins_[size_t(example)], nullptr};
        }
        return {values, length, examples_->columns + first, places_.data()};
    }

    double block(const T* weights, int64_t from, int64_t count, double mass, bool with_gradient) {
        // By example: [count / 16][outputs][16].
        const int64_t room = padded(count) * m_;
        std::fill_n(z_.begin(), room, T(0));
        const auto at = [this](int64_t i) { return i / PANEL * m_ * PANEL + i % PANEL; };
        for (int64_t i = 0; i < count; ++i) {
            T* const z = z_.data() + at(i);
            if (n_.has_bias_) {
                const T* const bias = weights + place_of_bias() * m_;
                for (int64_t o = 0; o < m_; ++o) z[o * PANEL] = bias[o];
            }
            n_.kernels_.multiply(row(from + i), m_, weights, z, PANEL);
        }
        int64_t classes[BLOCK];
        T counts[BLOCK];
        const int64_t* const order = order_ + from;
        if (examples_->numbers) {
            n_.kernels_.gather_targets(examples_->numbers, m_, order, count, numbers_.data());
        } else {
            for (int64_t i = 0; i < count; ++i) classes[i] = examples_->classes[order[i]];
        }
        for (int64_t i = 0; examples_->weights && i < count; ++i) {
            counts[i] = examples_->weights[order[i]];
        }
        const Risk<T>& risk = n_.risk_;
        const Targets targets{risk.loss, n_.log_softmax_, m_, risk.ignored, risk.smoothing,
                              risk.shape, mass == 0 ? 0 : 1 / mass};
        const Side<T> out{nullptr, z_.data(), m_}, delta{nullptr, deltas_.data(), m_};
        double losses[BLOCK];
        n_.kernels_.loss(targets, out, classes, examples_->numbers ? numbers_.data() : nullptr,
                         risk.class_weights.empty() ? nullptr : risk.class_weights.data(),
                         examples_->weights ? counts : nullptr, count, padded(count), {},
                         z_.data(), m_, with_gradient ? &delta : nullptr, losses);
        double sum = 0;
        for (int64_t i = 0; i < count; ++i) {
            sum += losses[i];
            if (!with_gradient) continue;
            const T* const d = deltas_.data() + at(i);
            n_.kernels_.add(row(from + i), m_, d, PANEL, gradient_);
            if (!n_.has_bias_) continue;
            T* const bias = gradient_ + place_of_bias() * m_;
            for (int64_t o = 0; o < m_; ++o) bias[o] += d[o * PANEL];
        }
        return sum;
    }

    // Shorten the gradient, with that of the penalty in it.
    void clip(Step<T>& step) {
        const double square = n_.kernels_.limit(panels(width_), PANEL, step, T(n_.clip_.value),
                                                at_[0], gradient_);
        const T factor = T(n_.clip_.factor(std::sqrt(square)));
        step.slope = step.kink = 0;
        if (factor == 1) return;
        for (int64_t i = 0; i < width_; ++i) gradient_[i] *= factor;
    }

    Sparse& n_;
    const int64_t m_;
    const SparseExamples<T>* examples_ = nullptr;
    const int64_t* order_ = nullptr;
    int64_t count_ = 0, width_ = 0;
    bool all_ = false;
    std::vector<int32_t> list_, places_, placed_;
    std::vector<int64_t> begins_;
    std::vector<T> own_[4], own_gradient_, whole_, z_, deltas_, numbers_;
    T* at_[4] = {};
    T* gradient_ = nullptr;
};

}  // namespace gradus
