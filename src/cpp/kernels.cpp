// The parts of a training step, compiled once for every variant.
#include "kernels.hpp"

#include "activation.hpp"
#include "between.hpp"
#include "ending.hpp"
#include "functions.hpp"
#include "move.hpp"
#include "product.hpp"
#include "rows.hpp"
#include "step.hpp"
#include "transpose.hpp"
#include "update.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

// Inputs of forward that stay in the first cache while the examples pass.
constexpr int64_t RUN = 256;

// Examples

// What becomes of the inputs of an example, a vector or a number at a time.
template <class T>
struct Preparation {
    explicit Preparation(const Source& source)
        : scale(source.scale ? T(*source.scale) : T(1)),
          mean(static_cast<const T*>(source.mean)),
          deviation(static_cast<const T*>(source.deviation)) {}

    GRADUS_INLINE Vector<T> operator()(Vector<T> x, int64_t feature) const {
        x = x / every(scale);
        if (mean) x -= load(mean + feature);
        if (deviation) x /= load(deviation + feature);
        return x;
    }

    GRADUS_INLINE T operator()(T x, int64_t feature) const {
        x /= scale;
        if (mean) x -= mean[feature];
        if (deviation) x /= deviation[feature];
        return x;
    }

    const T scale;
    const T* const mean;
    const T* const deviation;
};

// Sixteen by sixteen at a time, so that what is turned is still in the first cache.
template <class T, class Given>
void gather_rows(const Source& source, const int64_t* order, int64_t count, int64_t stride,
                 int64_t first, int64_t last, const Side<T>& to) {
    const Preparation<T> prepared(source);
    const Given* const x = static_cast<const Given*>(source.x);
    for (int64_t block = 0; block < count; block += PANEL) {
        const int64_t examples = least(PANEL, count - block);
        for (int64_t panel = first; panel < last; ++panel) {
            const int64_t begin = panel * PANEL, columns = least(PANEL, source.features - begin);
            T* const at = to.by_feature + (panel * stride + block) * PANEL;
            for (int64_t example = 0; example < examples; ++example) {
                const Given* row = x + order[block + example] * source.features + begin;
                T* target = at + example * PANEL;
                if (columns == PANEL) {
                    for (int64_t i = 0; i < PANEL; i += LANES<T>) {
                        store(target + i, prepared(load<T>(row + i), begin + i));
                    }
                } else {
                    for (int64_t i = 0; i < columns; ++i) {
                        target[i] = prepared(T(row[i]), begin + i);
                    }
                }
            }
            if (!to.by_example) continue;
            transpose<T>(at, PANEL, to.by_example + (block * to.rows + begin * PANEL),
                         int(columns));
        }
    }
}

template <class T>
void gather(const Source& source, const int64_t* order, int64_t count, int64_t stride,
            int64_t first, int64_t last, const Side<T>& to) {
    const auto rows = source.bytes ? gather_rows<T, uint8_t> : gather_rows<T, T>;
    rows(source, order, count, stride, first, last, to);
}

template <class T>
void gather_targets(const T* y, int64_t outputs, const int64_t* order, int64_t count, T* to) {
    for (int64_t example = 0; example < count; ++example) {
        T* column = to + example / PANEL * outputs * PANEL + example % PANEL;
        const T* row = y + order[example] * outputs;
        for (int64_t output = 0; output < outputs; ++output) column[output * PANEL] = row[output];
    }
}

// Forward

template <class T>
void forward(const Layer<T>& layer, const T* weights, const Side<T>& in, int64_t count,
             int64_t stride, int64_t first, int64_t last, const Side<T>& out, T* pre) {
    const int64_t rows = layer.rows() * PANEL, outs = stride * PANEL;  // from a panel to the next
    const bool rectifies = layer.activation.curve == Curve::RELU && !pre;
    const auto at = [&](int64_t panel, auto side_by_side) GRADUS_INLINE_LAMBDA {
        constexpr int P = decltype(side_by_side)::NUMBER;
        const T* w = weights + panel * rows;
        T* z = out.by_feature + panel * outs;
        for (int64_t from = 0; from < layer.inputs; from += RUN) {
            const int64_t length = least(RUN, layer.inputs - from);
            const T* a = in.by_feature + from * stride;
            tiles<T, P>(0, count, [&](int64_t example, auto& tile) GRADUS_INLINE_LAMBDA {
                if (from > 0) {
                    tile.take(z + example * PANEL, outs);
                } else if (layer.has_bias) {
                    tile.repeat(w + layer.inputs * PANEL, rows);
                } else {
                    tile.clear();
                }
                tile.add_product(a + example * PANEL, stride * PANEL, w + from * PANEL, rows,
                                 length);
                if (rectifies && from + length == layer.inputs) tile.rectify();
                tile.put(z + example * PANEL, outs);
            });
        }
    };
    by_panels<T>(first, last, layer.outputs, at);
    if (!rectifies) finish<T>(layer, count, stride, first, last, out, pre);
    else if (out.by_example) turn<T>(out, layer.outputs, count, stride, first, last);
}

// Loss

// Whether a loss is one of how far each output is on the side of its class, or of the others.
inline bool of_margin(Loss loss) { return loss == Loss::HINGE || loss == Loss::MODIFIED_HUBER; }

// One loss of T vectors: examples lie in the lanes, outputs one after another.
template <class T>
struct Terms {
    const Targets& targets;
    const T* class_weights;
    const T* numbers;        // targets that are numbers, [output][16]
    Vector<T> classes;       // the class of each lane
    Vector<T> counted;       // 0 where it is to be ignored; of a margin, what its class counts

    // The share of an output in the target; without weight, and 0 where it is ignored.
    GRADUS_INLINE Vector<T> share_of(int64_t output) const {
        const T spread = T(targets.smoothing / double(targets.outputs));
        Vector<T> share;
        if (numbers) {
            share = load(numbers + output * PANEL);
        } else {
            const Vector<T> zero = {}, one = every<T>(1);
            share = classes == T(output) ? one : zero;
        }
        share = T(1 - targets.smoothing) * share + spread;
        return numbers ? share : share * counted;
    }

    GRADUS_INLINE void at(int64_t output, Vector<T> u, Vector<T>& value, Vector<T>& slope) const {
        if (targets.loss == Loss::CROSS_ENTROPY || targets.loss == Loss::NLL) {
            // No share counts nothing, whatever u is; a share of weight 0 lets infinity through.
            const Vector<T> share = share_of(output), zero = {};
            const Vector<T> weight = class_weights ? class_weights[output] * share : share;
            value = share == zero ? zero : -weight * u;
            slope = -weight;
            return;
        }
        if (of_margin(targets.loss)) {
            const Vector<T> one = every<T>(1), side = classes == T(output) ? one : -one, zero = {};
            const Vector<T> lacking = at_least<T>(one - side * u, 0);
            if (targets.loss == Loss::HINGE) {
                value = counted * lacking;
                slope = lacking > zero ? -side * counted : zero;
            } else {
                const Vector<T> cut = at_most<T>(lacking, 2);
                value = counted * cut * (T(2) * lacking - cut);
                slope = T(-2) * side * counted * cut;
            }
            return;
        }
        const Vector<T> y = load(numbers + output * PANEL), zero = {};
        switch (targets.loss) {
            case Loss::MSE:
                value = (u - y) * (u - y);
                slope = 2 * (u - y);
                return;
            case Loss::L1:
                value = absolute<T>(u - y);
                slope = sign<T>(u - y);
                return;
            case Loss::HUBER: {
                slope = at_least<T>(at_most<T>(u - y, T(targets.shape)), T(-targets.shape));
                value = slope * ((u - y) - slope * T(0.5));
                return;
            }
            case Loss::PINBALL: {
                const T above = T(1 - targets.shape), below = T(-targets.shape);
                const Vector<T> apart = u - y;
                slope = apart > zero ? every<T>(above) : apart < zero ? every<T>(below) : zero;
                value = apart * (apart > zero ? every<T>(above) : every<T>(below));
                return;
            }
            case Loss::KL: {
                // The logarithm takes no subnormal number; what it would add to the loss is nothing.
                const Vector<T> normal = y > zero ? at_least<T>(y, Format<T>::SMALLEST) : y;
                const Vector<T> logarithms = logarithm<T>(y == zero ? every<T>(1) : normal);
                value = y == zero ? zero : y * (logarithms - u);
                slope = -y;
                return;
            }
            default: {
                const Vector<T> share = exponential<T>(y);
                value = share == zero ? zero : share * (y - u);
                slope = -share;
                return;
            }
        }
    }
};

template <class T>
void loss(const Targets& targets, const Side<T>& out, const int64_t* classes, const T* numbers,
          const T* class_weights, const T* counts, int64_t count, int64_t stride,
          const Activation<T>& last, const T* at, int64_t at_rows, const Side<T>* delta, double* losses) {
    const int64_t outputs = targets.outputs;
    const bool normalised = targets.log_softmax || targets.loss == Loss::CROSS_ENTROPY;
    const T inverse_mass = T(targets.inverse_mass);
    for (int64_t example = 0; example < count; example += LANES<T>) {
        const int64_t block = example / PANEL * PANEL, lane = example % PANEL;
        const int64_t here = least(LANES<T>, count - example);
        const T* z = out.by_example + block * out.rows + lane;
        Terms<T> terms{targets, class_weights, nullptr, {}, {}};
        if (numbers) {
            terms.numbers = numbers + block * outputs + lane;
        } else {
            for (int64_t i = 0; i < here; ++i) {
                terms.classes[i] = T(classes[example + i]);
                const int64_t c = classes[example + i];
                const T weight = of_margin(targets.loss) && class_weights ? class_weights[c] : T(1);
                terms.counted[i] = c == targets.ignored ? T(0) : weight;
            }
        }
        Vector<T> shift = {};
        if (normalised) {
            Vector<T> most = load(z), sum = {};
            for (int64_t o = 1; o < outputs; ++o) most = larger<T>(most, load(z + o * PANEL));
            for (int64_t o = 0; o < outputs; ++o) sum += exponential<T>(load(z + o * PANEL) - most);
            shift = most + logarithm<T>(sum);
        }
        Vector<T> total = {}, slopes = {}, value, slope;
        Vector<T> counted_as = every<T>(1);
        for (int64_t i = 0; counts && i < here; ++i) counted_as[i] = counts[example + i];
        for (int64_t o = 0; o < outputs; ++o) {
            terms.at(o, load(z + o * PANEL) - shift, value, slope);
            total += value;
            slopes += slope;
        }
        total *= counted_as;
        counted_as *= inverse_mass;
        for (int64_t i = 0; i < here; ++i) losses[example + i] = double(total[i]);
        if (!delta) continue;
        T* d = delta->by_example + block * delta->rows + lane;
        const T* a = at + block * at_rows + lane;
        for (int64_t o = 0; o < outputs; ++o) {
            const Vector<T> u = load(z + o * PANEL) - shift;
            terms.at(o, u, value, slope);
            if (normalised) slope -= exponential<T>(u) * slopes;
            slope *= counted_as * bend<T>(last, load(a + o * PANEL));
            store<T>(d + o * PANEL, slope);
        }
    }
    if (!delta || !delta->by_feature) return;
    for (int64_t panel = 0; panel < panels(outputs); ++panel) {
        const int64_t rows = least(PANEL, outputs - panel * PANEL);
        for (int64_t example = 0; example < count; example += PANEL) {
            transpose<T>(delta->by_example + example * delta->rows + panel * PANEL * PANEL, int(rows),
                         delta->by_feature + (panel * stride + example) * PANEL, PANEL);
        }
    }
}

// Gradients

template <class T>
void input_gradient(const Layer<T>& layer, const Side<T>& delta, int64_t count, int64_t first,
                    int64_t last, int64_t from, int64_t to, T* sums, int64_t apart) {
    const int64_t end = least(last * PANEL, layer.inputs);
    const int64_t in = PANEL * layer.inputs, out = PANEL * delta.rows;  // from 16 examples to more
    for (int64_t group = from; group < to; ++group) {
        const int64_t begin = group * GROUP, length = least(GROUP, layer.outputs - begin);
        const T* w = layer.weights + begin * layer.rows();
        const T* d = delta.by_example + begin * PANEL;
        T* sum = sums + group * apart;
        const bool begun = apart == 0 && group > 0;
        // Few rows at a time: their weights stay in the first cache while the examples pass.
        for (int64_t rows = first * PANEL; rows < end; rows += PANEL) {
            by_panels<T>(0, panels(count), [&](int64_t block, auto side) GRADUS_INLINE_LAMBDA {
                constexpr int P = decltype(side)::NUMBER;
                tiles<T, P>(rows, least(end, rows + PANEL),
                            [&](int64_t row, auto& tile) GRADUS_INLINE_LAMBDA {
                    T* at = sum + block * in + row * PANEL;
                    tile.clear();
                    tile.add_product(w + row * PANEL, layer.rows() * PANEL, d + block * out, out,
                                     length);
                    if (begun) tile.add(at, in);
                    tile.put(at, in);
                });
            });
        }
    }
}

template <class T>
void slope(int64_t features, const T* sums, int64_t number, int64_t apart,
           const Others<T>& others, int64_t count, int64_t stride, const Activation<T>& given,
           const T* at, int64_t at_rows, int64_t first, int64_t last, const Side<T>& to) {
    const Activation<T> before = given;
    const int64_t begin = first * PANEL, end = least(last * PANEL, features);
    for (int64_t example = 0; example < count; example += PANEL) {
        const T* sum = sums + example * features;
        T* g = to.by_example + example * to.rows;
        const T* a = at + example * at_rows;
        for (int64_t i = begin * PANEL; i < end * PANEL; i += LANES<T>) {
            Vector<T> whole = load(sum + i);
            for (int64_t more = 1; more < number; ++more) whole += load(sum + more * apart + i);
            for (int64_t other = 0; other < others.number; ++other) {
                whole += load(others.gradients[other] + others.at + example * features + i);
            }
            if (before.curve != Curve::IDENTITY) whole *= bend<T>(before, load(a + i));
            store<T>(g + i, whole);
        }
        for (int64_t panel = first; to.by_feature && panel < last; ++panel) {
            transpose<T>(g + panel * PANEL * PANEL, int(least(PANEL, end - panel * PANEL)),
                         to.by_feature + (panel * stride + example) * PANEL, PANEL);
        }
    }
}

// The gradient of a panel of weights, or of several side by side, row by row.
template <class T>
struct Gradients {
    const Layer<T>& layer;
    const Side<T>& in;
    const T* delta;  // of the panel
    int64_t count, stride;
    const T* begun;  // what it is added to, or null

    // From a panel of weights to the next, and from one of the gradient at the outputs.
    int64_t apart() const { return layer.rows() * PANEL; }
    int64_t outs() const { return stride * PANEL; }

    template <int R, int P>
    GRADUS_INLINE void into(Tile<T, R, P>& tile, int64_t row) const {
        if (begun) {
            tile.take(begun + row * PANEL, apart());
        } else {
            tile.clear();
        }
        const int64_t block = panels(layer.outputs) * outs();
        const T* d = delta;
        for (int64_t example = 0; example < count; example += stride, d += block) {
            tile.add_product(in.by_example + example * in.rows + row * PANEL, in.rows * PANEL, d,
                             outs(), least(stride, count - example));
        }
    }

    // Of P panels, to memory, where they are so far apart.
    template <int P>
    __attribute__((noinline)) void put(int64_t first, int64_t last, T* to, int64_t apart) const {
        tiles<T, P>(first, last, [&](int64_t row, auto& tile) GRADUS_INLINE_LAMBDA {
            into(tile, row);
            tile.put(to + (row - first) * PANEL, apart);
        });
    }

    template <int P>
    GRADUS_INLINE void moved(int64_t, int64_t) const {}
};

// From so many examples on, the product takes longer than the weights.
constexpr int64_t MANY = 32;

template <class T>
void update_by(const Layer<T>& layer, const Side<T>& in, const T* delta, int64_t count,
               int64_t stride, int64_t first, int64_t last, bool begun, bool finished, Rule rule,
               Regularization regularization, const Step<T>& step) {
    constexpr int WIDE = SIDE_BY_SIDE<T>;
    const int64_t rows = layer.rows();
    while (first < last) {
        const int64_t panel = first / rows, begin = panel * rows;
        const bool wide = count >= MANY && first == begin && last >= begin + WIDE * rows;
        const int64_t end = wide ? begin + rows : least(last, begin + rows), at = begin * PANEL;
        constexpr int LEAST = HAS_HALVES<T> ? 0 : 1;
        const bool half = is_half<T>(layer.outputs, panel);
        const Gradients<T> gradients{layer, in, delta + panel * stride * PANEL, count, stride,
                                     begun ? layer.gradient + at : nullptr};
        if (finished && moves_apart(rule)) {
            const int64_t from = first * PANEL, size = (wide ? WIDE * rows : end - first) * PANEL;
            T* const gradient = layer.gradient + from;
            const auto state = [&](int i) {
                return (i < REMEMBERED[int(rule)] ? layer.state[i] : layer.weights) + from;
            };
            if (wide) gradients.template put<WIDE>(0, rows, gradient, gradients.apart());
            else gradients.template put<1>(first - begin, end - begin, gradient, gradients.apart());
            APART_BY_RULE<T>[int(rule) - int(Rule::LION)][int(regularization)](
                step, size, gradient, layer.weights + from, state(0), state(1), state(2));
        } else if (finished) {
            const auto by_rule = half   ? STEPS_BY_RULE<T, Gradients<T>, LEAST>
                                 : wide ? STEPS_BY_RULE<T, Gradients<T>, WIDE>
                                        : STEPS_BY_RULE<T, Gradients<T>, 1>;
            by_rule[int(rule)][int(regularization)](gradients, at, first - begin, end - begin,
                                                    step);
        } else if (half) {
            gradients.template put<LEAST>(first - begin, end - begin,
                                          layer.gradient + first * PANEL, gradients.apart());
        } else if (wide) {
            gradients.template put<WIDE>(0, rows, layer.gradient + at, gradients.apart());
        } else {
            gradients.template put<1>(first - begin, end - begin, layer.gradient + first * PANEL,
                                      gradients.apart());
        }
        first = wide ? begin + WIDE * rows : end;
    }
}

template <class T>
double limit(int64_t rows, int64_t columns, const Step<T>& step, T most, const T* weights,
             T* gradient) {
    double sum = 0;
    for (int64_t from = 0; from < rows; from += RUN) {
        T squares[PANEL];
        for (int64_t column = 0; column < PANEL; column += LANES<T>) {
            Vector<T> partial = {};
            for (int64_t row = from; row < least(from + RUN, rows); ++row) {
                const int64_t at = row * PANEL + column;
                const Vector<T> w = load(weights + at);
                Vector<T> g = load(gradient + at);
                g += step.slope * w + step.kink * sign<T>(w);
                g = at_least<T>(at_most<T>(g, most), -most);
                store(gradient + at, g);
                partial += g * g;
            }
            store<T>(squares + column, partial);
        }
        for (int64_t column = 0; column < columns; ++column) sum += double(squares[column]);
    }
    return sum;
}

template <class T>
constexpr Kernels<T> TABLE = {
    gather<T>, gather_targets<T>, forward<T>, loss<T>, input_gradient<T>, slope<T>,
    sum<T>, drop<T>, drop_gradient<T>, scales<T>, prelu<T>, prelu_gradient<T>, prelu_update<T>,
    layer_norm<T>, layer_norm_gradient<T>,
    batch_norm<T>, batch_norm_gradient<T>, standardize<T>, norm_update<T>, update_by<T>,
    limit<T>, move_arrays<T>, activate_each<T>, map<T>, take_columns<T>, put_columns<T>,
    multiply_row<T>, add_row<T>, nullptr,
};

}  // namespace

const Kernels<float>* single() { return &TABLE<float>; }
const Kernels<double>* twice() { return &TABLE<double>; }

}  // namespace gradus::GRADUS_VARIANT
