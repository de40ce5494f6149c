// A network in training: its layers and their parameters, what its method remembers, and the steps they take.
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

// A layer as it is given. Side 0 is the inputs, and side i + 1 what layer i leaves.
struct Given {
    Kind kind = Kind::DENSE;
    int64_t outputs = 0;
    int64_t reads = 0, also = -1;  // sides; the second of a sum, or none
    Activation<double> activation{};
    bool has_weight = true, has_bias = true, moves_weight = true, moves_bias = true;
    bool shares_weight = false;   // one for all outputs
    double share = 0;             // of the units that are dropped
    double eps = 0;               // of a norm
    double fresh = 0;             // what a batch counts in running statistics; negative: as all before
};

struct Shape {
    int64_t inputs = 0;
    std::vector<Given> layers;
    bool log_softmax = false;

    int64_t width(int64_t side) const {
        return side == 0 ? inputs : layers[size_t(side - 1)].outputs;
    }
    int64_t outputs() const { return width(int64_t(layers.size())); }
};

// What the layers of a network read of each other.
class Graph {
public:
    // `moving` layers have parameters that move.
    Graph(const Shape& shape, const std::vector<bool>& moving);

    // The sides that a layer reads whose gradient is needed.
    const std::vector<int64_t>& back(size_t layer) const { return back_[layer]; }

    // The first of the layers that read a side is the last on the way back: it adds up.
    bool adds_up(size_t layer, int64_t side) const { return readers_[size_t(side)][0] == layer; }

    // All that need its gradient.
    const std::vector<size_t>& readers(int64_t side) const { return readers_[size_t(side)]; }

private:
    std::vector<std::vector<int64_t>> back_;
    std::vector<std::vector<size_t>> readers_;
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
    double weight;  // their mean, 1 where there are none
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
    // `products` take the steps; what is evaluated is by `kernels`.
    Network(const Kernels<T>& kernels, const Kernels<T>& products, Shape shape, Risk<T> risk, Method method, Penalty penalty,
            Clip clip, int64_t batch_size, int threads);
    Network(const Network&) = delete;

    // Set the parameters of a layer, as torch.nn.Linear holds them, and forget all steps; those of a
    // norm are a matrix of one column.
    void set(int64_t layer, const T* weight, const T* bias);

    // The parameters at the iterate.
    void get(int64_t layer, T* weight, T* bias) const;

    // What a layer holds of every parameter, column by column: where the gradient is taken, and what
    // the method remembers. Written all and the steps counted on, a network goes on as another stood.
    int columns() const { return columns_; }
    void read(int64_t layer, int column, T* weight, T* bias) const;
    void write(int64_t layer, int column, const T* weight, const T* bias);
    void count_on(int64_t steps) { step_ = steps; }

    // The running statistics of a batch norm, and of how many batches they are.
    void set_running(int64_t layer, const T* mean, const T* variance, int64_t batches);
    int64_t get_running(int64_t layer, T* mean, T* variance) const;

    // What dropout draws follows from this, the step and the layer.
    void draw_by(uint64_t key) { key_ = key; }

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

    // What a layer keeps of the examples in memory, beside its outputs.
    struct Kept {
        T* before = nullptr;           // by example, before the activation, where its slope needs it
        Side<T> delta{};               // the gradient at its outputs, before the activation
        T* gradient = nullptr;         // at its inputs, where another layer adds it to its own
        std::vector<T*> others;        // such gradients at its outputs, of those who read them too
        T* scales = nullptr;           // by which units were multiplied, by example
        Normal<T> normal{};
        Running<T> running{};
        int64_t batches = 0;           // that the running statistics are of
        uint32_t number = 0;           // among the layers that drop
    };

    T* room(int64_t numbers);
    Side<T> side(int64_t features, bool with_one, int64_t examples);
    void add_layer(size_t index);
    void add_kept(size_t index);
    T* column(int64_t layer, int column) const;

    const Kernels<T>& kernels_;
    const Kernels<T>& products_;
    const Shape shape_;
    const Graph graph_;
    const bool is_dense_;  // every layer
    const bool is_whole_;  // a batch is in memory at once, and members share every layer
    const Risk<T> risk_;
    const Method method_;
    const Penalty penalty_;
    const Clip clip_;
    const int threads_;
    const bool is_timed_;
    const int columns_;
    const bool flushes_;      // numbers too small for a whole mantissa
    const bool pairs_;        // weights are kept in bfloat16 too
    bool is_paired_ = false;  // and these are those that are there
    const int64_t segment_;   // examples of a batch that are in memory at once
    const bool keeps_gradients_;  // over the segments of a batch, or until all of it is there
    const int64_t stride_;    // examples of a block of them
    const int64_t learning_;  // examples that all blocks of a segment have room for
    const int64_t capacity_;  // examples that forward has room for
    std::vector<std::unique_ptr<void, Free>> memory_;
    std::vector<Layer<T>> layers_;
    std::vector<Side<T>> sides_;   // the inputs, and what leaves every layer
    std::vector<Kept> kept_;
    uint64_t key_ = 0;
    T* sums_ = nullptr;            // over groups of outputs, of the gradient at a layer's inputs
    T* numbers_ = nullptr;         // targets
    std::vector<double> squares_;  // of the weights, or of their gradient, panel by panel
    int64_t step_ = 0;
    Timings timings_;
};

}  // namespace gradus
