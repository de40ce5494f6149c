#include "network.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "work.hpp"

namespace gradus {
namespace {

constexpr int64_t SEGMENT = 128;  // examples: their inputs stay in the second cache for the update
constexpr double WORTH_A_THREAD = 1e6;  // multiplications of a step

int64_t rounded_up(int64_t number, int64_t unit) { return (number + unit - 1) / unit * unit; }

int64_t stride_for(int64_t segment, int threads) {
    if (segment <= BLOCK) return segment;
    return std::clamp(rounded_up((segment + threads - 1) / threads, PANEL), BLOCK / 2, BLOCK);
}

double multiplications_of(const Shape& shape, int64_t batch_size) {
    double multiplications = 0;
    for (size_t l = 0; l + 1 < shape.widths.size(); ++l) {
        multiplications += 3.0 * double(shape.widths[l] * shape.widths[l + 1] * batch_size);
    }
    return multiplications;
}

int threads_for(const Shape& shape, int64_t batch_size, int threads) {
    const double worth = multiplications_of(shape, batch_size) / WORTH_A_THREAD;
    return int(std::clamp(worth, 1.0, double(threads)));
}

// Beside an eps, the root of a mean of squares that is flushed counts nothing.
bool flushes(const Method& method) { return !takes_root(method.rule) || method.eps > 1e-15; }

int remembered(const Method& method, const Penalty& penalty) {
    // The iterate before, until the length of the next is known.
    if (method.rule == Rule::NESTEROV && penalty.proximal && penalty.norm > 0) return 2;
    return REMEMBERED[int(method.rule)];
}

}  // namespace

template <class T>
void Network<T>::Free::operator()(void* memory) const {
    std::free(memory);
}

template <class T>
T* Network<T>::room(int64_t numbers) {
    const size_t bytes = size_t(rounded_up(numbers * int64_t(sizeof(T)), 64));
    void* memory = std::aligned_alloc(64, std::max<size_t>(bytes, 64));
    if (!memory) throw std::bad_alloc();
    memory_.emplace_back(memory);
    std::memset(memory, 0, bytes);
    return static_cast<T*>(memory);
}

template <class T>
Side<T> Network<T>::side(int64_t features, bool with_one, int64_t examples) {
    const int64_t rows = features + with_one;
    Side<T> made{room(panels(features) * PANEL * examples), room(rows * examples), rows};
    if (with_one) {
        for (int64_t at = 0; at < examples; at += PANEL) {
            std::fill_n(made.by_example + at * rows + features * PANEL, PANEL, T(1));
        }
    }
    return made;
}

template <class T>
Network<T>::Network(const Kernels<T>& kernels, Shape shape, Risk<T> risk, Method method,
                    Penalty penalty, Clip clip, int64_t batch_size, int threads)
    : kernels_(kernels),
      shape_(std::move(shape)),
      risk_(std::move(risk)),
      method_(method),
      penalty_(penalty),
      clip_(clip),
      threads_(threads_for(shape_, batch_size, threads)),
      is_timed_(multiplications_of(shape_, batch_size) > WORTH_A_THREAD),
      columns_(1 + remembered(method_, penalty_)),
      flushes_(flushes(method_)),
      segment_(rounded_up(std::min(batch_size, SEGMENT), PANEL)),
      stride_(stride_for(segment_, threads_)),
      learning_(rounded_up(segment_, stride_)),
      capacity_(std::max(learning_,
                         rounded_up(SEGMENT, stride_for(SEGMENT, threads_)))) {
    const size_t count = shape_.widths.size() - 1;
    int64_t all_panels = 0, sums = 0;
    for (size_t l = 0; l < count; ++l) {
        Layer<T> layer{};
        layer.inputs = shape_.widths[l];
        layer.outputs = shape_.widths[l + 1];
        layer.has_bias = shape_.biases[l];
        layer.activation = rounded<T>(shape_.activations[l]);
        const bool weights = shape_.moving_weights.empty() || shape_.moving_weights[l];
        const bool bias = layer.has_bias && (shape_.moving_biases.empty() || shape_.moving_biases[l]);
        layer.moves_from = weights ? 0 : layer.inputs;
        layer.moves_to = bias ? layer.rows() : layer.inputs;
        layer.weights = room(layer.size());
        for (int i = 0; i + 1 < columns_; ++i) layer.state[i] = room(layer.size());
        if (batch_size > segment_ || clip_.clips()) layer.gradient = room(layer.size());
        layers_.push_back(layer);
        sides_.push_back(side(layer.inputs, layer.has_bias, capacity_));
        deltas_.push_back(side(layer.outputs, false, learning_));
        const bool argument = takes_argument(layer.activation.curve);
        before_.push_back(argument ? room(layer.outputs * capacity_) : nullptr);
        all_panels += panels(layer.outputs);
        if (l > 0) sums = std::max(sums, groups(layer.outputs) * layer.inputs);
    }
    while (lowest_ + 1 < count && !layers_[lowest_].moves()) ++lowest_;
    sides_.push_back(side(shape_.widths.back(), false, capacity_));
    sums_ = room(sums * learning_);
    numbers_ = room(shape_.widths.back() * learning_);
    squares_.resize(size_t(all_panels));
}

template <class T>
T* Network<T>::column(int64_t index, int column) const {
    const Layer<T>& layer = layers_[size_t(index)];
    return column == 0 ? layer.weights : layer.state[column - 1];
}

template <class T>
void Network<T>::write(int64_t index, int column, const T* weight, const T* bias) {
    const Layer<T>& layer = layers_[size_t(index)];
    for (int64_t output = 0; output < layer.outputs; ++output) {
        T* to = this->column(index, column) + output / PANEL * layer.rows() * PANEL + output % PANEL;
        for (int64_t input = 0; input < layer.inputs; ++input) {
            to[input * PANEL] = weight[output * layer.inputs + input];
        }
        if (layer.has_bias) to[layer.inputs * PANEL] = bias[output];
    }
}

template <class T>
void Network<T>::read(int64_t index, int column, T* weight, T* bias) const {
    const Layer<T>& layer = layers_[size_t(index)];
    for (int64_t output = 0; output < layer.outputs; ++output) {
        const T* from =
            this->column(index, column) + output / PANEL * layer.rows() * PANEL + output % PANEL;
        for (int64_t input = 0; input < layer.inputs; ++input) {
            weight[output * layer.inputs + input] = from[input * PANEL];
        }
        if (layer.has_bias) bias[output] = from[layer.inputs * PANEL];
    }
}

template <class T>
void Network<T>::set(int64_t index, const T* weight, const T* bias) {
    write(index, 0, weight, bias);
    const size_t bytes = size_t(layers_[size_t(index)].size()) * sizeof(T);
    const bool follows = method_.rule == Rule::POLYAK || method_.rule == Rule::NESTEROV;
    for (int i = 1; i < columns_; ++i) {
        if (follows) std::memcpy(column(index, i), column(index, 0), bytes);
        if (!follows) std::memset(column(index, i), 0, bytes);
    }
    step_ = 0;
}

template <class T>
void Network<T>::get(int64_t index, T* weight, T* bias) const {
    read(index, method_.rule == Rule::NESTEROV ? 1 : 0, weight, bias);
}

template <class T>
int64_t Network<T>::run(const Examples<T>& examples, const Batches& batches, int threads) {
    const int members = std::clamp(threads, 1, threads_);
    const int64_t taken = Work(*this, examples, batches, members, segment_, stride_).take_steps();
    step_ += taken;
    return taken;
}

template <class T>
void Network<T>::outputs(const Examples<T>& examples, const int64_t* order, int64_t count, T* to) {
    Batches all{};
    all.order = order;
    all.examples = all.size = count;
    Work(*this, examples, all, threads_, SEGMENT, stride_for(SEGMENT, threads_)).outputs(to);
}

template class Network<float>;
template class Network<double>;

}  // namespace gradus
