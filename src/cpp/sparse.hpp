// A linear model in training on inputs that are mostly zeros: a step costs its non-zeros only.
//
// The weights lie feature by feature, [features][outputs], so that a non-zero meets all outputs side
// by side; the biases are one more feature, which is 1. A step takes the columns that its batch
// touches to where they lie side by side, moves them there by the dense kernels, and puts them back;
// upkeep.hpp says what becomes of the others.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "method.hpp"
#include "network.hpp"
#include "upkeep.hpp"

namespace gradus {

// The examples: rows of non-zeros (compressed sparse rows, the columns of a row all different), one
// of classes and numbers, and what each counts, or null.
template <class T>
struct SparseExamples {
    const int64_t* starts;
    const int32_t* columns;
    const T* values;
    const int64_t* classes;
    const T* numbers;
    const T* weights;
    double weight;  // their mean, 1 where there are none
};

template <class T>
class Sparse {
public:
    Sparse(const Kernels<T>& kernels, const Kernels<double>& exact, int64_t features,
           int64_t outputs, bool has_bias, bool log_softmax, Risk<T> risk, Method method,
           Penalty penalty, Clip clip, int threads);
    Sparse(const Sparse&) = delete;

    // Weights [outputs][features] and biases, and forget all steps.
    void set(const T* weight, const T* bias);

    // The parameters at the iterate.
    void get(T* weight, T* bias);

    // Where the gradient is taken, and what the method remembers, with all steps made up for.
    int columns() const { return columns_; }
    void read(int column, T* weight, T* bias) const;
    void write(int column, const T* weight, const T* bias);

    // The same as it is kept, [features + has_bias][outputs], with what was not made up for yet: what
    // goes on from it goes on to the bit.
    std::vector<T>& kept(int column) { return memory_[size_t(column)]; }
    std::vector<double>& behind() { return behind_; }
    const std::vector<Matrix2>& since() const;
    Shrinking& shrinking() { return shrinking_; }
    void go_on(int64_t steps, const Matrix2* since, int64_t count);

    int64_t run(const SparseExamples<T>& examples, const Batches& batches);

    // What the model gives for examples at the iterate, before a log-softmax: [count][outputs].
    void outputs(const SparseExamples<T>& examples, const int64_t* order, int64_t count, T* to);

    int64_t steps() const { return step_; }

private:
    class Bench;

    int64_t size() const { return (features_ + has_bias_) * outputs_; }
    const T* iterate();
    void settle();
    void make_up(int32_t column, T* const* state) const;
    template <class Do>
    void each_column(const Do& act) const;
    bool take_step(Bench& bench, const SparseExamples<T>& examples, const Batches& batches,
                   int64_t step);

    const Kernels<T>& kernels_;
    const Kernels<double>& exact_;
    const int64_t features_, outputs_;
    const bool has_bias_, log_softmax_;
    const Risk<T> risk_;
    const Method method_;
    const Penalty penalty_;
    const Clip clip_;
    const int threads_;
    const int columns_;
    const Upkeep upkeep_;
    std::vector<std::vector<T>> memory_;  // [column][features + has_bias][outputs]
    std::vector<double> behind_;  // the threshold, or the step, that a column has made up for
    Shrinking shrinking_{1, 0};
    Products products_;
    Step<double> latest_{};  // of which the latest matrix was made
    std::vector<T> iterate_;
    bool is_fresh_ = false;  // whether that is where the iterate is
    int64_t step_ = 0;
};

}  // namespace gradus
