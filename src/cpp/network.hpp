// A dense network in training: its parameters, what its method remembers, and the steps they take.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"
#include "method.hpp"
#include "team.hpp"

namespace gradus {

// What the mean of the losses of a batch divides by.
enum class Mass { ONE, EXAMPLES, ELEMENTS, CLASS_WEIGHTS };

// The same with its numbers in T.
template <class T>
Activation<T> rounded(const Activation<double>& given) {
    const Piecewise<double>& p = given.pieces;
    return {given.curve,
            {T(given.softplus.beta), T(given.softplus.threshold)},
            {T(given.exponential.above), T(given.exponential.below), T(given.exponential.rate)},
            {T(p.low), T(p.high), T(p.bow), T(p.slope), T(p.shift), T(p.slope_below),
             T(p.shift_below), T(p.slope_above), T(p.shift_above), p.is_closed}};
}

struct Shape {
    std::vector<int64_t> widths;  // of the inputs, and of every layer
    std::vector<Activation<double>> activations;
    std::vector<bool> biases;
    std::vector<bool> moving_weights, moving_biases;  // none: all move
    bool log_softmax = false;
};

template <class T>
struct Risk {
    Loss loss = Loss::MSE;
    Mass mass = Mass::ONE;
    double smoothing = 0;
    int64_t ignored = -1;
    std::vector<T> class_weights;  // none: all 1
    double shape = 0;              // delta or quantile of the loss
};

// The examples: inputs, one of classes and numbers, and what each counts, or null.
template <class T>
struct Examples {
    Source source;
    const int64_t* classes;
    const T* numbers;
    const T* weights;
};

// Batches of `size` examples (the last may be smaller), and what belongs to their steps.
struct Batches {
    const int64_t* order;
    int64_t examples, size;
    const double* rates;
    const double* aheads;  // by how much Nesterov's next query is ahead; null for other methods
    const bool* wanted;    // where the loss at the iterate is wanted too; null: nowhere
    double* losses;
    double* losses_at_iterate;

    int64_t steps() const { return (examples + size - 1) / size; }
};

// Seconds that the first thread spent in each kind of work; nothing of steps so short that telling
// the time would take a part of them.
struct Timings {
    double load = 0, forward = 0, loss = 0, input_gradient = 0, update = 0, wait = 0;
    double longest_wait = 0;  // of any thread
};

template <class T>
class Network {
public:
    Network(const Kernels<T>& kernels, Shape shape, Risk<T> risk, Method method, Penalty penalty,
            Clip clip, int64_t batch_size, int threads);
    Network(const Network&) = delete;

    // Set the parameters of a layer, as torch.nn.Linear holds them, and forget all steps.
    void set(int64_t layer, const T* weight, const T* bias);

    // The parameters at the iterate.
    void get(int64_t layer, T* weight, T* bias) const;

    // What a layer holds of every parameter, column by column: where the gradient is taken, and what
    // the method remembers. Written all and the steps counted on, a network goes on as another stood.
    int columns() const { return columns_; }
    void read(int64_t layer, int column, T* weight, T* bias) const;
    void write(int64_t layer, int column, const T* weight, const T* bias);
    void count_on(int64_t steps) { step_ = steps; }

    // Take the steps; how many were taken before a loss was not finite. Nothing moves at that loss,
    // which is the last that is given. The number of threads changes nothing but the time.
    int64_t run(const Examples<T>& examples, const Batches& batches, int threads);

    // What the last layer gives for `count` examples at the iterate, before a log-softmax:
    // [count][outputs].
    void outputs(const Examples<T>& examples, const int64_t* order, int64_t count, T* to);

    int64_t steps() const { return step_; }
    const Timings& timings() const { return timings_; }
    int threads() const { return threads_; }

private:
    struct Free {
        void operator()(void* memory) const;
    };
    class Work;

    T* room(int64_t numbers);
    Side<T> side(int64_t features, bool with_one, int64_t examples);
    T* column(int64_t layer, int column) const;

    const Kernels<T>& kernels_;
    const Shape shape_;
    const Risk<T> risk_;
    const Method method_;
    const Penalty penalty_;
    const Clip clip_;
    const int threads_;
    const bool is_timed_;
    const int columns_;
    const bool flushes_;      // numbers too small for a whole mantissa
    const int64_t segment_;   // examples of a batch that are in memory at once
    const int64_t stride_;    // examples of a block of them
    const int64_t learning_;  // examples that all blocks of a segment have room for
    const int64_t capacity_;  // examples that forward has room for
    std::vector<std::unique_ptr<void, Free>> memory_;
    std::vector<Layer<T>> layers_;
    size_t lowest_ = 0;            // layer that moves: below, no gradient is needed
    std::vector<Side<T>> sides_;   // what enters every layer, and what leaves the last
    std::vector<T*> before_;       // by example, before the activation, where its slope needs it
    std::vector<Side<T>> deltas_;  // the gradient at what leaves every layer
    T* sums_ = nullptr;            // over groups of outputs, of the gradient at a layer's inputs
    T* numbers_ = nullptr;         // targets
    std::vector<double> squares_;  // of the weights, or of their gradient, panel by panel
    int64_t step_ = 0;
    Timings timings_;
};

}  // namespace gradus
