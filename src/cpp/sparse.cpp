#include "sparse.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "bench.hpp"
#include "mass.hpp"
#include "subnormals.hpp"
#include "team.hpp"

namespace gradus {
namespace {

constexpr int64_t SPAN = 1 << 16;   // steps whose matrices are kept
constexpr int64_t AHEAD = 8;        // examples that are asked of the memory before their step
constexpr int64_t LINE = 64;        // bytes
constexpr double LEAST = 1e-12;     // of a scale: then all columns are put down anew

bool is_same(const Step<double>& a, const Step<double>& b) {
    return a.rate == b.rate && a.ahead == b.ahead && a.fresh == b.fresh && a.scale == b.scale;
}

}  // namespace

template <class T>
Sparse<T>::Sparse(const Kernels<T>& kernels, const Kernels<double>& exact, int64_t features,
                  int64_t outputs, bool has_bias, bool log_softmax, Risk<T> risk, Method method,
                  Penalty penalty, Clip clip, int threads)
    : kernels_(kernels),
      exact_(exact),
      features_(features),
      outputs_(outputs),
      has_bias_(has_bias),
      log_softmax_(log_softmax),
      risk_(std::move(risk)),
      method_(method),
      penalty_(penalty),
      clip_(clip),
      threads_(threads),
      columns_(1 + REMEMBERED[int(method.rule)]),
      upkeep_(upkeep_of(method, penalty, clip)),
      memory_(size_t(columns_), std::vector<T>(size_t(padded(size())))) {
    const bool has_threshold = upkeep_ == Upkeep::SHRINK && penalty_.absolute != 0;
    if (has_threshold || upkeep_ == Upkeep::LINEAR) behind_.resize(size_t(features_ + has_bias_));
}

template <class T>
void Sparse<T>::write(int column, const T* weight, const T* bias) {
    T* const to = memory_[size_t(column)].data();
    for (int64_t output = 0; output < outputs_; ++output) {
        for (int64_t feature = 0; feature < features_; ++feature) {
            to[feature * outputs_ + output] = weight[output * features_ + feature];
        }
        if (has_bias_) to[features_ * outputs_ + output] = bias[output];
    }
    is_fresh_ = false;
}

template <class T>
void Sparse<T>::set(const T* weight, const T* bias) {
    write(0, weight, bias);
    const bool follows = method_.rule == Rule::POLYAK || method_.rule == Rule::NESTEROV;
    for (int c = 1; c < columns_; ++c) {
        if (follows) memory_[size_t(c)] = memory_[0];
        else std::fill(memory_[size_t(c)].begin(), memory_[size_t(c)].end(), T(0));
    }
    std::fill(behind_.begin(), behind_.end(), 0.0);
    shrinking_ = {1, 0};
    products_.clear();
    step_ = 0;
}

// A column of the model, of which state holds what belongs to it, brought to the latest step.
template <class T>
void Sparse<T>::make_up(int32_t column, T* const* state) const {
    if (upkeep_ == Upkeep::LINEAR) {
        products_.catch_up(int64_t(behind_[size_t(column)]), outputs_, state[0], state[1]);
    } else if (upkeep_ == Upkeep::SHRINK) {
        const double behind = behind_.empty() ? 0 : behind_[size_t(column)];
        const Shrinking since{shrinking_.scale, shrinking_.threshold - behind};
        const int32_t first = 0;
        const double nothing = 0;
        kernels_.take({&first, 1, outputs_}, since, behind_.empty() ? nullptr : &nothing, state[0],
                      state[0]);
    }
}

// Nothing is left to make up for.
template <class T>
void Sparse<T>::settle() {
    if (upkeep_ != Upkeep::LINEAR && upkeep_ != Upkeep::SHRINK) return;
    T* state[4] = {};
    for (int64_t column = 0; column < features_ + has_bias_; ++column) {
        for (int c = 0; c < columns_; ++c) state[c] = memory_[size_t(c)].data() + column * outputs_;
        make_up(int32_t(column), state);
    }
    std::fill(behind_.begin(), behind_.end(), 0.0);
    shrinking_ = {1, 0};
    products_.clear();
}

// Every column of the model and what belongs to it, brought to the latest step.
template <class T>
template <class Do>
void Sparse<T>::each_column(const Do& act) const {
    std::vector<T> one[4];
    T* state[4] = {};
    for (int c = 0; c < columns_; ++c) {
        one[c].resize(size_t(outputs_));
        state[c] = one[c].data();
    }
    for (int64_t column = 0; column < features_ + has_bias_; ++column) {
        for (int c = 0; c < columns_; ++c) {
            std::copy_n(memory_[size_t(c)].data() + column * outputs_, outputs_, state[c]);
        }
        make_up(int32_t(column), state);
        act(column, state);
    }
}

template <class T>
void Sparse<T>::read(int wanted, T* weight, T* bias) const {
    each_column([&](int64_t column, T* const* state) {
        for (int64_t output = 0; output < outputs_; ++output) {
            T* const to = column < features_ ? weight + output * features_ + column : bias + output;
            *to = state[wanted][output];
        }
    });
}

template <class T>
void Sparse<T>::get(T* weight, T* bias) {
    read(method_.rule == Rule::NESTEROV ? 1 : 0, weight, bias);
}

template <class T>
const std::vector<Matrix2>& Sparse<T>::since() const {
    static const std::vector<Matrix2> none;
    return products_.steps() == 0 ? none : products_.single();
}

template <class T>
void Sparse<T>::go_on(int64_t steps, const Matrix2* since, int64_t count) {
    products_.clear();
    for (int64_t i = 0; i < count; ++i) products_.add(since[i]);
    step_ = steps;
    is_fresh_ = false;
}

// [features + has_bias][outputs] at the iterate.
template <class T>
const T* Sparse<T>::iterate() {
    const size_t column = method_.rule == Rule::NESTEROV ? 1 : 0;
    if (upkeep_ == Upkeep::NOTHING || upkeep_ == Upkeep::ALL) return memory_[column].data();
    if (is_fresh_) return iterate_.data();
    iterate_.resize(size_t(size()));
    each_column([&](int64_t at, T* const* state) {
        std::copy_n(state[column], outputs_, iterate_.data() + at * outputs_);
    });
    is_fresh_ = true;
    return iterate_.data();
}

template <class T>
void Sparse<T>::outputs(const SparseExamples<T>& examples, const int64_t* order, int64_t count,
                        T* to) {
    const T* const weights = iterate();
    together(int(std::clamp<int64_t>(count / BLOCK, 1, threads_)), [&](int member) {
        const int members = int(std::clamp<int64_t>(count / BLOCK, 1, threads_));
        const Share mine(count, member, members);
        for (int64_t i = mine.first; i < mine.last; ++i) {
            T* const z = to + i * outputs_;
            for (int64_t o = 0; o < outputs_; ++o) {
                z[o] = has_bias_ ? weights[features_ * outputs_ + o] : T(0);
            }
            const int64_t first = examples.starts[order[i]];
            const Row<T> row{examples.values + first, examples.starts[order[i] + 1] - first,
                             examples.columns + first, nullptr};
            kernels_.multiply(row, outputs_, weights, z, 1);
        }
    });
}

namespace {

// Ask the memory for examples that steps to come will read.
template <class T>
void fetch(const SparseExamples<T>& examples, const Batches& batches, int64_t begin, int64_t count) {
    const int64_t end = std::min(begin + count, batches.examples);
    for (int64_t i = begin; i < end; ++i) {
        if (i + AHEAD < batches.examples) __builtin_prefetch(examples.starts + batches.order[i + AHEAD]);
        const int64_t row = batches.order[i];
        const int64_t first = examples.starts[row], last = examples.starts[row + 1];
        const char* const values = reinterpret_cast<const char*>(examples.values + first);
        const char* const columns = reinterpret_cast<const char*>(examples.columns + first);
        const int64_t bytes = (last - first) * int64_t(sizeof(T));
        const int64_t indices = (last - first) * int64_t(sizeof(int32_t));
        for (int64_t at = 0; at < bytes; at += LINE) __builtin_prefetch(values + at);
        for (int64_t at = 0; at < indices; at += LINE) __builtin_prefetch(columns + at);
        if (examples.classes) __builtin_prefetch(examples.classes + row);
    }
    asm volatile("");
}

}  // namespace

template <class T>
bool Sparse<T>::take_step(Bench& bench, const SparseExamples<T>& examples, const Batches& batches,
                          int64_t step) {
    const int64_t begin = step * batches.size;
    const int64_t count = std::min(batches.size, batches.examples - begin);
    const int64_t* const order = batches.order + begin;
    const double alpha = batches.rates[step], ahead = batches.aheads ? batches.aheads[step] : 0;
    Shrinking after = shrinking_;
    const int64_t t = step_ + step;
    bool all = upkeep_ == Upkeep::ALL || (upkeep_ == Upkeep::ONCE && t == 0);
    if (upkeep_ == Upkeep::SHRINK) {
        after = shrunk_further(shrinking_, method_, penalty_, alpha);
        if (!(after.scale >= LEAST)) {  // or a weight changes its sign
            settle();
            all = true;
        }
    }
    if (upkeep_ == Upkeep::LINEAR && products_.steps() == SPAN) settle();
    fetch(examples, batches, begin + std::max(count, AHEAD), count);
    bench.take(examples, order, count, all, shrinking_);
    const double mass =
        mass_of(risk_, outputs_, examples.classes, examples.weights, examples.weight, order, count);
    if (batches.wanted && batches.wanted[step]) {
        batches.losses_at_iterate[step] = bench.evaluate(bench.remembered(), mass, false);
    }
    const double mean = bench.evaluate(bench.weights(), mass, true);
    batches.losses[step] = mean;
    if (!std::isfinite(mean)) {
        bench.leave();
        return false;
    }
    bench.move(numbers<T>(method_, penalty_, alpha, ahead, t, 0));
    if (upkeep_ == Upkeep::LINEAR) {
        const Step<double> exact = gradus::numbers<double>(method_, penalty_, alpha, ahead, t, 0);
        const bool known = products_.steps() > 0 && is_same(exact, latest_);
        products_.add(known ? products_.single().back()
                            : matrix_of(exact_, method_, penalty_, exact));
        latest_ = exact;
        for (const int32_t column : bench.list()) {
            behind_[size_t(column)] = double(products_.steps());
        }
    }
    bench.put(after);
    if (!all) shrinking_ = after;
    return true;
}

template <class T>
int64_t Sparse<T>::run(const SparseExamples<T>& examples, const Batches& batches) {
    const SubnormalsAreZero subnormals(flushes(method_));
    is_fresh_ = false;
    Bench bench(*this);
    int64_t taken = 0;
    while (taken < batches.steps() && take_step(bench, examples, batches, taken)) ++taken;
    step_ += taken;
    return taken;
}

template class Sparse<float>;
template class Sparse<double>;

}  // namespace gradus
