#include "network.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "work.hpp"

#include "backward.hpp"
#include "forward.hpp"

namespace gradus {
namespace {

// Examples whose inputs stay in the second cache for the update.
constexpr int64_t SEGMENT = 128;

// Of a network so narrow that all it keeps of them does, twice as many.
constexpr int64_t NARROW = 256;
constexpr double WORTH_A_THREAD = 1e6;  // multiplications of a step

int64_t rounded_up(int64_t number, int64_t unit) { return (number + unit - 1) / unit * unit; }

int64_t segment_for(const Shape& shape) {
    int64_t numbers = shape.inputs;
    for (const Given& layer : shape.layers) numbers += layer.outputs;
    return numbers <= NARROW ? 2 * SEGMENT : SEGMENT;
}

int64_t stride_for(int64_t segment, int threads) {
    if (segment <= BLOCK) return segment;
    return std::clamp(rounded_up((segment + threads - 1) / threads, PANEL), BLOCK / 2, BLOCK);
}

double multiplications_of(const Shape& shape, int64_t batch_size) {
    double multiplications = 0;
    for (const Given& layer : shape.layers) {
        const int64_t inputs = layer.kind == Kind::DENSE ? shape.width(layer.reads) : 1;
        multiplications += 3.0 * double(inputs * layer.outputs * batch_size);
    }
    return multiplications;
}

int threads_for(const Shape& shape, int64_t batch_size, int threads) {
    const double worth = multiplications_of(shape, batch_size) / WORTH_A_THREAD;
    return int(std::clamp(worth, 1.0, double(threads)));
}

int remembered(const Method& method, const Penalty& penalty) {
    // The iterate before, until the length of the next is known.
    if (method.rule == Rule::NESTEROV && penalty.proximal && penalty.norm > 0) return 2;
    return REMEMBERED[int(method.rule)];
}

std::vector<bool> moving(const Shape& shape) {
    std::vector<bool> found;
    for (const Given& layer : shape.layers) {
        const bool weights = layer.has_weight && layer.moves_weight;
        found.push_back(weights || (layer.has_bias && layer.moves_bias));
    }
    return found;
}

int64_t layers_of(const Shape& shape, Kind kind) {
    return std::count_if(shape.layers.begin(), shape.layers.end(),
                         [kind](const Given& layer) { return layer.kind == kind; });
}

}  // namespace

Graph::Graph(const Shape& shape, const std::vector<bool>& moving)
    : back_(shape.layers.size()), readers_(shape.layers.size() + 1) {
    std::vector<bool> needed = {false};  // of every side
    for (size_t l = 0; l < shape.layers.size(); ++l) {
        for (const int64_t side : {shape.layers[l].reads, shape.layers[l].also}) {
            if (side < 0 || !needed[size_t(side)]) continue;
            back_[l].push_back(side);
            readers_[size_t(side)].push_back(l);
        }
        needed.push_back(moving[l] || !back_[l].empty());
    }
}

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
Network<T>::Network(const Kernels<T>& kernels, const Kernels<T>& products, Shape shape, Risk<T> risk, Method method,
                    Penalty penalty, Clip clip, int64_t batch_size, int threads)
    : kernels_(kernels),
      products_(products),
      shape_(std::move(shape)),
      graph_(shape_, moving(shape_)),
      is_dense_(layers_of(shape_, Kind::DENSE) == int64_t(shape_.layers.size())),
      is_whole_(layers_of(shape_, Kind::BATCH_NORM) > 0),
      risk_(std::move(risk)),
      method_(method),
      penalty_(penalty),
      clip_(clip),
      threads_(threads_for(shape_, batch_size, threads)),
      is_timed_(multiplications_of(shape_, batch_size) > WORTH_A_THREAD),
      columns_(1 + remembered(method_, penalty_)),
      flushes_(flushes(method_)),
      pairs_(products.pair && !clip_.clips() && !moves_apart(method_.rule) &&
             !(penalty_.proximal && penalty_.norm > 0)),
      segment_(rounded_up(is_whole_ ? batch_size : std::min(batch_size, segment_for(shape_)), PANEL)),
      keeps_gradients_(batch_size > segment_ || clip_.clips() || moves_apart(method_.rule)),
      stride_(stride_for(segment_, threads_)),
      learning_(rounded_up(segment_, stride_)),
      capacity_(std::max(learning_,
                         rounded_up(SEGMENT, stride_for(SEGMENT, threads_)))) {
    const size_t count = shape_.layers.size();
    std::vector<bool> with_one(count + 1);
    int64_t all_panels = 0, sums = 0;
    for (size_t l = 0; l < count; ++l) {
        const Given& given = shape_.layers[l];
        if (given.kind == Kind::DENSE && given.has_bias) with_one[size_t(given.reads)] = true;
        add_layer(l);
        const int64_t inputs = shape_.width(given.reads);
        const int64_t summed = given.kind == Kind::DENSE ? groups(given.outputs) : 1;
        all_panels += panels(layers_[l].sets);
        if (!graph_.back(l).empty()) sums = std::max(sums, summed * inputs);
    }
    for (size_t s = 0; s <= count; ++s) {
        sides_.push_back(side(shape_.width(int64_t(s)), with_one[s], capacity_));
    }
    for (size_t l = 0; l < count; ++l) add_kept(l);
    sums_ = room(sums * learning_);
    numbers_ = room(shape_.outputs() * learning_);
    squares_.resize(size_t(all_panels));
}

template <class T>
void Network<T>::add_layer(size_t index) {
    const Given& given = shape_.layers[index];
    Layer<T> layer{};
    layer.kind = given.kind;
    layer.outputs = given.outputs;
    layer.sets = given.shares_weight ? 1 : given.outputs;
    layer.inputs = given.kind == Kind::DENSE ? shape_.width(given.reads) : given.has_weight;
    layer.has_bias = given.has_bias;
    layer.activation = rounded<T>(given.activation);
    layer.moves_from = given.has_weight && given.moves_weight ? 0 : layer.inputs;
    layer.moves_to = given.has_bias && given.moves_bias ? layer.rows() : layer.inputs;
    layer.weights = room(layer.size());
    for (int i = 0; i + 1 < columns_; ++i) layer.state[i] = room(layer.size());
    if (pairs_ && given.kind == Kind::DENSE) {  // two numbers in the place of one
        T* const place = room(panels(given.outputs) * layer.pairs_of_a_panel() * PANEL);
        layer.pairs = reinterpret_cast<uint16_t*>(place);
    }
    // Of a norm it is there before anything moves.
    if (keeps_gradients_ || given.kind != Kind::DENSE) layer.gradient = room(layer.size());
    layers_.push_back(layer);
}

template <class T>
void Network<T>::add_kept(size_t index) {
    const Given& given = shape_.layers[index];
    const int64_t outputs = given.outputs;
    Kept kept;
    if (takes_argument(given.activation.curve)) kept.before = room(outputs * capacity_);
    kept.delta = side(outputs, false, learning_);
    switch (given.kind) {
        case Kind::DROP:
            kept.scales = room(outputs * capacity_);
            for (size_t l = 0; l < index; ++l) kept.number += layers_[l].kind == Kind::DROP;
            break;
        case Kind::LAYER_NORM:
            kept.normal = {side(outputs, false, capacity_), room(capacity_)};
            break;
        case Kind::BATCH_NORM:
            kept.normal.values.by_feature = room(panels(outputs) * PANEL * learning_);
            kept.normal.inverse = room(panels(outputs) * PANEL);
            kept.running = {room(panels(outputs) * PANEL), room(panels(outputs) * PANEL), 0};
            break;
        default: break;
    }
    for (const int64_t side : graph_.back(index)) {
        if (graph_.adds_up(index, side)) continue;
        if (given.kind != Kind::SUM) kept.gradient = room(shape_.width(side) * learning_);
        // A sum hands its own gradient on as it is.
        kept_[size_t(side - 1)].others.push_back(kept.gradient ? kept.gradient
                                                               : kept.delta.by_example);
    }
    kept_.push_back(std::move(kept));
}

template <class T>
T* Network<T>::column(int64_t index, int column) const {
    const Layer<T>& layer = layers_[size_t(index)];
    return column == 0 ? layer.weights : layer.state[column - 1];
}

template <class T>
void Network<T>::write(int64_t index, int column, const T* weight, const T* bias) {
    is_paired_ = false;
    const Layer<T>& layer = layers_[size_t(index)];
    for (int64_t output = 0; output < layer.sets; ++output) {
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
    for (int64_t output = 0; output < layer.sets; ++output) {
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
void Network<T>::set_running(int64_t index, const T* mean, const T* variance, int64_t batches) {
    Kept& kept = kept_[size_t(index)];
    std::copy_n(mean, layers_[size_t(index)].outputs, kept.running.mean);
    std::copy_n(variance, layers_[size_t(index)].outputs, kept.running.variance);
    kept.batches = batches;
}

template <class T>
int64_t Network<T>::get_running(int64_t index, T* mean, T* variance) const {
    const Kept& kept = kept_[size_t(index)];
    std::copy_n(kept.running.mean, layers_[size_t(index)].outputs, mean);
    std::copy_n(kept.running.variance, layers_[size_t(index)].outputs, variance);
    return kept.batches;
}

template <class T>
int64_t Network<T>::run(const Examples<T>& examples, const Batches& batches, int threads) {
    const int members = std::clamp(threads, 1, threads_);
    for (const Layer<T>& layer : layers_) {
        if (layer.pairs && !is_paired_) products_.pair(layer);
    }
    is_paired_ = true;
    const int64_t taken =
        Work(*this, products_, examples, batches, members, segment_, stride_).take_steps();
    step_ += taken;
    return taken;
}

template <class T>
void Network<T>::outputs(const Examples<T>& examples, const int64_t* order, int64_t count, T* to) {
    Batches all{};
    all.order = order;
    all.examples = all.size = count;
    Work(*this, kernels_, examples, all, threads_, SEGMENT, stride_for(SEGMENT, threads_))
        .outputs(to);
}

template class Network<float>;
template class Network<double>;

}  // namespace gradus
