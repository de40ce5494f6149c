// What a variant of the kernels offers to the rest of the core: the parts of a training step.
//
// A step of a dense network is four kinds of work: forward, loss, input gradients, and weight
// gradients with the update. All of it rests on one product of small tiles (product.hpp), because
// all that they read lies in panels of 16 numbers:
//
//     by_feature   [feature / 16][example][16]     what forward reads and writes
//     by_example   [example / 16][feature][16]     the same, transposed: what gradients read
//     weights      [output / 16][input][16]        with the bias as one more input, which is 1
//
// What stands between dense layers (sums, dropout, PReLU, norms) reads and leaves the same panels.
// Nothing here knows of threads: the caller says which part of the work is whose.
#pragma once

#include <cstdint>

namespace gradus {

constexpr int PANEL = 16;

constexpr int64_t panels(int64_t numbers) { return (numbers + PANEL - 1) / PANEL; }

// The gradient of an input is summed over so many outputs at a time, and then over these sums:
// they may be computed by different threads, each from the weights that it has just moved.
constexpr int64_t GROUP = 8 * PANEL;

constexpr int64_t groups(int64_t outputs) { return (outputs + GROUP - 1) / GROUP; }

enum class Curve {
    IDENTITY, RELU, TANH, SIGMOID, GELU, GELU_TANH, SILU, MISH, SOFTSIGN, TANHSHRINK,
    SOFTPLUS, EXPONENTIAL, PIECES,
};

// Whether the slope of a curve is made of its argument, not of its value.
constexpr bool takes_argument(Curve curve) { return curve >= Curve::GELU; }

// log(1 + exp(beta z)) / beta, and z where beta z is above the threshold.
template <class T>
struct Softplus {
    T beta, threshold;
};

// above z, and below (exp(rate z) - 1) for negative z.
template <class T>
struct Exponential {
    T above, below, rate;
};

// bow z^2 + slope z + shift from low to high, and a line on either side of it. The inner piece has
// its ends where it is closed.
template <class T>
struct Piecewise {
    T low, high, bow, slope, shift, slope_below, shift_below, slope_above, shift_above;
    bool is_closed;
};

// A curve with its numbers: those of other curves are not looked at.
template <class T>
struct Activation {
    Curve curve;
    Softplus<T> softplus;
    Exponential<T> exponential;
    Piecewise<T> pieces;
};

enum class Loss { CROSS_ENTROPY, NLL, MSE, L1, KL, KL_LOG, HUBER, PINBALL, HINGE, MODIFIED_HUBER };

// How w moves, given the gradient g; s, s2, s3 are what the method remembers.
enum class Rule {
    DESCENT, POLYAK, NESTEROV, SGD, SGD_NESTEROV, ADAM, AMSGRAD, ADAGRAD,
    RMSPROP, RMSPROP_MOMENTUM, RMSPROP_CENTERED, RMSPROP_CENTERED_MOMENTUM,
    LION, ADAMAX, ADADELTA, NADAM, RADAM, ADOPT, FTRL,
};

// Vectors, by rule.
constexpr int REMEMBERED[] = {0, 1, 1, 1, 1, 2, 3, 1, 1, 2, 2, 3, 1, 2, 2, 2, 2, 2, 2};

// RMSprop remembers the mean of squares, that of gradients where it is centered, and the buffer.
constexpr bool is_rmsprop(Rule rule) {
    return rule >= Rule::RMSPROP && rule <= Rule::RMSPROP_CENTERED_MOMENTUM;
}
constexpr bool is_centered(Rule rule) {
    return is_rmsprop(rule) && rule >= Rule::RMSPROP_CENTERED;
}
constexpr bool has_buffer(Rule rule) {
    return rule == Rule::RMSPROP_MOMENTUM || rule == Rule::RMSPROP_CENTERED_MOMENTUM;
}

// Whether the rule adapts to each coordinate, by means or sums of its gradients.
constexpr bool is_adaptive(Rule rule) { return rule >= Rule::ADAM; }

// Whether it takes a square root.
constexpr bool takes_root(Rule rule) {
    return is_adaptive(rule) && rule != Rule::LION && rule != Rule::ADAMAX;
}

// Whether weights move by a gradient in memory, not by one that is still in registers: of rules that
// few take one kernel is enough.
constexpr bool moves_apart(Rule rule) { return rule >= Rule::LION; }

// Whether a product and the sum that it enters are rounded once, together, or one after the other;
// or whatever costs least, which is a quotient less too.
enum class Rounding { ONCE, TWICE, CHEAPEST };

// An update whose square root is taken elsewhere comes in two parts, before the root and after it.
enum class Stage { WHOLE, BEFORE_ROOT, AFTER_ROOT };

// What enters the update beside the gradient of the loss: nothing; the gradient of the penalty,
// weight decay, a direction; the last two and the proximal step of the penalty; or the last two.
enum class Regularization { NONE, GRADIENT, PROXIMAL, DECAY };

// The numbers of one step; those that a rule does not use are not looked at.
template <class T>
struct Step {
    T rate;        // alpha_t; for Adam divided by 1 - beta_1^t, for Adagrad decayed, for NAdam of g
    T direction;   // 1, or -1 to maximise
    T decay;       // lambda of weight decay in the gradient
    T keep;        // what w is multiplied by first: 1 - alpha lambda of AdamW
    T momentum;    // mu or beta; beta_1 of Lion and ADOPT; the rate of m in NAdam; l2 of FTRL
    T fresh;       // what the new counts: 1 - dampening (1 at the first step), 1 - beta_2
    T ahead;       // beta of the next query
    T first;       // how far m goes from where it begins: 1 - beta_1, or -beta_1 (not Lion, ADOPT)
    T at_mean;     // 1 where it begins at m, 0 where it begins at g
    T second;      // beta_2
    T correction;  // sqrt(1 - beta_2^t)
    T inverse;     // 1 / sqrt(1 - beta_2^t); r_t sqrt(1 - beta_2^t) of RAdam, 0 while it waits
    T eps;
    T bound;       // of a ratio in ADOPT; l1 of FTRL
    T slope;       // of the penalty: slope * w + kink * sign(w)
    T kink;
    T threshold;   // of the proximal step: shrink by threshold, then times scale
    T scale;
};

// What a layer does with what it reads, before its activation.
enum class Kind { DENSE, SUM, DROP, PRELU, LAYER_NORM, BATCH_NORM };

template <class T>
struct Layer {
    Kind kind;
    int64_t inputs;  // weights of an output: in a norm one or none
    int64_t outputs;
    int64_t sets;    // of parameters: one for every output, or one for all of them
    bool has_bias;
    Activation<T> activation;
    T* weights;
    T* state[3];
    T* gradient;  // only where a batch comes in segments, or is known before anything moves
    // The weights in bfloat16, two rows of a panel side by side: where products are taken so, and
    // the update alone moves them.
    uint16_t* pairs;
    // The rows of every panel that move: not weights, or the bias, that are frozen.
    int64_t moves_from, moves_to;

    int64_t rows() const { return inputs + has_bias; }
    bool moves() const { return moves_from < moves_to; }
    bool moves_all() const { return moves_from == 0 && moves_to == rows(); }
    bool shares() const { return sets < outputs; }
    int64_t size() const { return panels(sets) * rows() * PANEL; }
    int64_t pairs_of_a_panel() const { return (rows() + 1) / 2; }
};

// The numbers of a layer for the examples of a block, in both orders.
template <class T>
struct Side {
    T* by_feature;  // [panels][stride][16]; the stride is a multiple of 16
    T* by_example;  // [stride / 16][rows][16]
    int64_t rows;   // features, and a last one of 1 where a layer with bias reads it
};

// Which units a layer drops: a function of these, of the example's place in the batch and of the
// unit, and of nothing drawn before.
struct Draw {
    uint64_t key;
    uint32_t step, layer;
    double share;  // of the units, dropped
};

// What a norm leaves for its gradient: its inputs with mean 0 and variance 1, and by how much they
// were multiplied, for every example or for every feature.
template <class T>
struct Normal {
    Side<T> values;
    T* inverse;
};

// The statistics of a batch norm that are kept: the new counts `fresh`.
template <class T>
struct Running {
    T* mean;
    T* variance;
    double fresh;
};

// More gradients at what a layer leaves, of those who read it too: by example, from `at` on.
template <class T>
struct Others {
    T* const* gradients;
    int64_t number, at;
};

struct Targets {
    Loss loss;
    bool log_softmax;     // whether the network ends in one
    int64_t outputs;
    int64_t ignored;      // class index that counts nothing
    double smoothing;
    double shape;         // of the loss: delta of Huber's, quantile of the pinball
    double inverse_mass;  // what every term is multiplied by
};

// Columns by their numbers.
struct Columns {
    const int32_t* list;
    int64_t count, outputs;
};

// How far all columns have shrunk since they were last put down: w is sign(v) max(|v| - (threshold
// - behind), 0) scale, where v and behind are what is kept of a column.
struct Shrinking {
    double scale, threshold;

    bool is_nothing() const { return scale == 1 && threshold == 0; }
};

// The non-zeros of an example; the weights of non-zero i begin at the column places[columns[i]],
// without places at columns[i], without both at i.
template <class T>
struct Row {
    const T* values;
    int64_t count;
    const int32_t* columns;
    const int32_t* places;
};

// The inputs as they were read.
struct Source {
    const void* x;          // [N][features], bytes or T
    bool bytes;
    int64_t features;
    const double* scale;    // what they are divided by, or null
    const void* mean;       // T [features], or null
    const void* deviation;  // T [features], or null
};

template <class T>
struct Kernels {
    // Bring examples into a block, features panel by panel; `order` holds their numbers in the data.
    // Not by example where nobody reads them so, as in forward.
    void (*gather)(const Source&, const int64_t* order, int64_t count, int64_t stride,
                   int64_t first, int64_t last, const Side<T>& to);

    // Targets that are numbers, into [count / 16][outputs][16].
    void (*gather_targets)(const T* y, int64_t outputs, const int64_t* order, int64_t count, T* to);

    // Outputs of a layer, panels first..last; pre is by_example before the activation, where its
    // slope is made of that.
    void (*forward)(const Layer<T>&, const T* weights, const Side<T>& in, int64_t count,
                    int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre);

    // The loss of every example, and the gradient at the outputs where `delta` is there; `counts` is
    // what each example counts, or null; `at` as in slope.
    void (*loss)(const Targets&, const Side<T>& out, const int64_t* classes, const T* numbers,
                 const T* class_weights, const T* counts, int64_t count, int64_t stride, const Activation<T>& last,
                 const T* at, int64_t at_rows, const Side<T>* delta, double* losses);

    // The gradient at the inputs of a layer, panels first..last of them, as sums over the groups
    // from..to of its outputs: by example, each sum `apart` from the one before, or added to it
    // where that is 0.
    void (*input_gradient)(const Layer<T>&, const Side<T>& delta, int64_t count, int64_t first,
                           int64_t last, int64_t from, int64_t to, T* sums, int64_t apart);

    // What so many of these sums, and others, make of the gradient at the outputs of the layer
    // before, which are the inputs of this one; `at` is what the slope of their activation is made
    // of, by example. Where nobody reads it by feature it is not written so.
    void (*slope)(int64_t features, const T* sums, int64_t number, int64_t apart,
                  const Others<T>& others, int64_t count, int64_t stride,
                  const Activation<T>& before, const T* at, int64_t at_rows, int64_t first,
                  int64_t last, const Side<T>& to);

    // Layers without a product. Panels first..last of their outputs are what forward makes; what
    // their gradients make goes to `sums`, as those of input_gradient.

    // The sum of two sides, or one alone.
    void (*sum)(const Layer<T>&, const Side<T>& in, const Side<T>* also, int64_t count,
                int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre);

    // Dropout of the examples of a batch from `row` on; what units were multiplied by goes to
    // `scales`, by example.
    void (*drop)(const Layer<T>&, const Draw&, int64_t row, const Side<T>& in, int64_t count,
                 int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* scales,
                 T* pre);
    void (*drop_gradient)(const Layer<T>&, const Side<T>& delta, const T* scales, int64_t count,
                          int64_t first, int64_t last, T* sums);

    // What dropout multiplies units by, [units][16], for 16 examples from `row` on.
    void (*scales)(const Draw&, int64_t row, int64_t first, int64_t last, T* to);

    // PReLU by these slopes.
    void (*prelu)(const Layer<T>&, const T* weights, const Side<T>& in, int64_t count,
                  int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre);
    void (*prelu_gradient)(const Layer<T>&, const Side<T>& delta, const Side<T>& in, int64_t count,
                           int64_t first, int64_t last, T* sums);

    // The gradient of the slopes of features, panels first..last, added to what has begun: all of
    // them where they share one.
    void (*prelu_update)(const Layer<T>&, const Side<T>& in, const T* delta, int64_t count,
                         int64_t stride, int64_t first, int64_t last, bool begun);

    // Over the features of an example: all of so many examples.
    void (*layer_norm)(const Layer<T>&, const T* weights, double eps, const Side<T>& in,
                       int64_t count, int64_t stride, const Side<T>& out, const Normal<T>&,
                       T* pre);
    void (*layer_norm_gradient)(const Layer<T>&, const Side<T>& delta, const Normal<T>&,
                                int64_t count, T* sums);

    // Over the examples of a batch, in blocks of `stride`; it moves the running statistics, if it is
    // given any.
    void (*batch_norm)(const Layer<T>&, const T* weights, double eps, const Side<T>& in,
                       int64_t count, int64_t stride, int64_t first, int64_t last,
                       const Side<T>& out, const Normal<T>&, const Running<T>*, T* pre);
    void (*batch_norm_gradient)(const Layer<T>&, const Side<T>& delta, const Normal<T>&,
                                int64_t count, int64_t stride, int64_t first, int64_t last,
                                T* sums);

    // The same by the running statistics.
    void (*standardize)(const Layer<T>&, const T* weights, double eps, const Running<T>&,
                        const Side<T>& in, int64_t count, int64_t stride, int64_t first,
                        int64_t last, const Side<T>& out);

    // The gradient of the weights and biases of a norm, panels first..last, added to what has begun.
    void (*norm_update)(const Layer<T>&, const Normal<T>&, const T* delta, int64_t count,
                        int64_t stride, int64_t first, int64_t last, bool begun);

    // Rows first..last (panel after panel) of the weights: their gradient over `count` examples in
    // blocks of `stride`, beginning at layer.gradient where it has begun, and kept there; or, where
    // it is finished, used to move them.
    void (*update)(const Layer<T>&, const Side<T>& in, const T* delta, int64_t count,
                   int64_t stride, int64_t first, int64_t last, bool begun, bool finished,
                   Rule, Regularization, const Step<T>&);

    // The gradient of so many rows of a panel of weights, with that of the penalty, and no entry of
    // it larger than `most`; the sum of the squares of its first columns.
    double (*limit)(int64_t rows, int64_t columns, const Step<T>&, T most, const T* weights,
                    T* gradient);

    // The update of arrays whose gradient is there already, every operation rounded as torch rounds
    // it. What a rule does not remember is w. `roots` holds, between the stages of a rule that takes
    // a root, what the root is taken of, and then the root.
    void (*move)(Rule, Stage, Rounding, bool regularized, const Step<T>&, int64_t size, const T* g,
                 T* w, T* s, T* s2, T* s3, T* roots);

    // An activation of every number, and its slope there.
    void (*activate)(const Activation<T>&, int64_t count, const T* in, T* values, T* slopes);

    // An elementary function of every number.
    void (*map)(int function, int64_t count, const T* in, T* out);

    // Of inputs that are mostly zeros (sparse.hpp): weights lie feature by feature, `outputs` side
    // by side, here called a column.

    // Columns, to where they lie side by side, shrunk as their upkeep says; and back again.
    void (*take)(const Columns&, const Shrinking&, const double* behind, const T* from, T* to);
    void (*put)(const Columns&, const Shrinking&, double* behind, const T* from, T* to);

    // The outputs of a row, `apart` from each other, begin where they are; and the gradient that it
    // adds to its columns.
    void (*multiply)(const Row<T>&, int64_t outputs, const T* weights, T* to, int64_t apart);
    void (*add)(const Row<T>&, int64_t outputs, const T* delta, int64_t apart, T* gradient);

    // The pairs of a layer from its weights; null where products are not in bfloat16.
    void (*pair)(const Layer<T>&);
};

// The tables of every variant; `single` for float, `twice` for double.
#define GRADUS_DECLARE(variant)          \
    namespace variant {                  \
    const Kernels<float>* single();      \
    const Kernels<double>* twice();      \
    }
GRADUS_DECLARE(portable)
GRADUS_DECLARE(avx2)
GRADUS_DECLARE(avx512)
#undef GRADUS_DECLARE

// Those of avx512, but for the products, which are taken in bfloat16.
namespace avx512_bf16 {
const Kernels<float>* single();
}

}  // namespace gradus
