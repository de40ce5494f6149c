// How Python reaches the core: networks that train, updates in place, elementary functions.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "inplace.hpp"
#include "mass.hpp"
#include "network.hpp"
#include "sparse_module.hpp"
#include "stream.hpp"
#include "variants.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace gradus {
namespace {

template <class T>
using Vector1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::vector<std::string> built() {
    std::vector<std::string> names;
    for (const Variant& variant : variants()) names.push_back(variant.name);
    return names;
}

std::vector<std::string> runnable() {
    std::vector<std::string> names;
    for (const Variant& variant : variants()) {
        if (variant.runs) names.push_back(variant.name);
    }
    return names;
}

template <class T>
const Kernels<T>& kernels_of(const std::string& name);
template <>
const Kernels<float>& kernels_of<float>(const std::string& name) {
    return *variant_of(name).single;
}
template <>
const Kernels<double>& kernels_of<double>(const std::string& name) {
    return *variant_of(name).twice;
}

// Those that take products in bfloat16.
template <class T>
const Kernels<T>& products_of(const std::string& name) {
    if constexpr (sizeof(T) == 4) {
        if (const Kernels<T>* found = in_bfloat16(name)) return *found;
    }
    throw std::invalid_argument("no kernels take products in bfloat16 beside these: " + name);
}

// The value that belongs to a name.
template <class Value>
Value named(const std::map<std::string, Value>& values, const std::string& name) {
    const auto found = values.find(name);
    if (found == values.end()) throw std::invalid_argument("unknown name: " + name);
    return found->second;
}

const std::map<std::string, Curve> CURVES = {
    {"identity", Curve::IDENTITY}, {"relu", Curve::RELU},
    {"tanh", Curve::TANH},         {"sigmoid", Curve::SIGMOID},
    {"gelu", Curve::GELU},         {"gelu-tanh", Curve::GELU_TANH},
    {"silu", Curve::SILU},         {"mish", Curve::MISH},
    {"softsign", Curve::SOFTSIGN}, {"tanhshrink", Curve::TANHSHRINK},
    {"softplus", Curve::SOFTPLUS}, {"exponential", Curve::EXPONENTIAL},
    {"pieces", Curve::PIECES},
};
const std::map<std::string, Kind> KINDS = {
    {"dense", Kind::DENSE}, {"sum", Kind::SUM}, {"drop", Kind::DROP}, {"prelu", Kind::PRELU},
    {"layer-norm", Kind::LAYER_NORM}, {"batch-norm", Kind::BATCH_NORM},
};
const std::map<std::string, Loss> LOSSES = {
    {"cross-entropy", Loss::CROSS_ENTROPY}, {"nll", Loss::NLL}, {"mse", Loss::MSE},
    {"l1", Loss::L1}, {"kl", Loss::KL}, {"kl-log", Loss::KL_LOG}, {"huber", Loss::HUBER},
    {"pinball", Loss::PINBALL}, {"hinge", Loss::HINGE}, {"modified-huber", Loss::MODIFIED_HUBER},
};
const std::map<std::string, Mass> MASSES = {
    {"one", Mass::ONE}, {"examples", Mass::EXAMPLES}, {"elements", Mass::ELEMENTS},
    {"class-weights", Mass::CLASS_WEIGHTS},
};
const std::map<std::string, Rule> RULES = {
    {"descent", Rule::DESCENT}, {"polyak", Rule::POLYAK}, {"nesterov", Rule::NESTEROV},
    {"sgd", Rule::SGD}, {"sgd-nesterov", Rule::SGD_NESTEROV}, {"adam", Rule::ADAM},
    {"amsgrad", Rule::AMSGRAD}, {"adagrad", Rule::ADAGRAD},
    {"rmsprop", Rule::RMSPROP}, {"rmsprop-momentum", Rule::RMSPROP_MOMENTUM},
    {"rmsprop-centered", Rule::RMSPROP_CENTERED},
    {"rmsprop-centered-momentum", Rule::RMSPROP_CENTERED_MOMENTUM},
    {"lion", Rule::LION}, {"adamax", Rule::ADAMAX}, {"adadelta", Rule::ADADELTA},
    {"nadam", Rule::NADAM}, {"radam", Rule::RADAM}, {"adopt", Rule::ADOPT},
    {"ftrl", Rule::FTRL},
};

// A curve by its name, with its numbers in the order in which its struct has them.
Activation<double> activation(const std::string& name, const std::vector<double>& numbers) {
    Activation<double> made{};
    made.curve = named(CURVES, name);
    const bool has_softplus = made.curve == Curve::SOFTPLUS;
    const bool has_exponential = made.curve == Curve::EXPONENTIAL;
    const bool has_pieces = made.curve == Curve::PIECES;
    const size_t count = has_softplus ? 2 : has_exponential ? 3 : has_pieces ? 10 : 0;
    if (numbers.size() != count) throw std::invalid_argument("numbers of " + name);
    const double* n = numbers.data();
    if (has_softplus) made.softplus = {n[0], n[1]};
    if (has_exponential) made.exponential = {n[0], n[1], n[2]};
    if (has_pieces) {
        made.pieces = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9] != 0};
    }
    return made;
}

Given layer(const std::string& kind, int64_t outputs, int64_t reads, int64_t also,
            const std::string& curve, const std::vector<double>& numbers, bool has_weight,
            bool has_bias, bool moves_weight, bool moves_bias, bool shares_weight, double share,
            double eps, double fresh) {
    Given made;
    made.kind = named(KINDS, kind);
    made.outputs = outputs;
    made.reads = reads;
    made.also = also;
    made.activation = activation(curve, numbers);
    made.has_weight = has_weight;
    made.has_bias = has_bias;
    made.moves_weight = moves_weight;
    made.moves_bias = moves_bias;
    made.shares_weight = shares_weight;
    made.share = share;
    made.eps = eps;
    made.fresh = fresh;
    return made;
}

Method method(const std::string& rule, double momentum, double dampening, double weight_decay,
              bool decoupled, bool maximize, double beta1, double beta2, double eps,
              double lr_decay, double momentum_decay, double l1, double l2) {
    Method made;
    made.rule = named(RULES, rule);
    made.momentum = momentum;
    made.dampening = dampening;
    made.weight_decay = weight_decay;
    made.decoupled = decoupled;
    made.maximize = maximize;
    made.beta1 = beta1;
    made.beta2 = beta2;
    made.eps = eps;
    made.lr_decay = lr_decay;
    made.l1 = l1;
    made.l2 = l2;
    if (made.rule == Rule::NADAM) made.momenta = Momenta(beta1, momentum_decay);
    return made;
}

Penalty penalty(double absolute, double square, double norm, bool proximal) {
    Penalty made;
    made.absolute = absolute;
    made.square = square;
    made.norm = norm;
    made.proximal = proximal;
    return made;
}

template <class T>
Risk<T> risk(const std::string& loss, const std::string& mass, double smoothing, int64_t ignored,
             const std::vector<T>& class_weights, double shape) {
    Risk<T> made;
    made.loss = named(LOSSES, loss);
    made.mass = named(MASSES, mass);
    made.smoothing = smoothing;
    made.ignored = ignored;
    made.class_weights = class_weights;
    made.shape = shape;
    return made;
}

// Examples as Python holds them; what is pointed to lives as long as this does.
template <class T>
struct Data {
    nb::ndarray<nb::ndim<2>, nb::c_contig, nb::device::cpu> x;
    std::optional<Vector1<const int64_t>> classes;
    std::optional<Matrix<const T>> numbers;
    double scale;
    std::optional<Vector1<const T>> mean, deviation, weights;

    Examples<T> examples() const {
        Source source{};
        source.x = x.data();
        source.bytes = x.dtype() == nb::dtype<uint8_t>();
        source.features = int64_t(x.shape(1));
        source.scale = scale == 1 ? nullptr : &scale;
        source.mean = mean ? mean->data() : nullptr;
        source.deviation = deviation ? deviation->data() : nullptr;
        return {source, classes ? classes->data() : nullptr, numbers ? numbers->data() : nullptr,
                weights ? weights->data() : nullptr,
                weights ? mean_weight(weights->data(), int64_t(weights->shape(0))) : 1};
    }
};

template <class T>
int64_t run(Network<T>& network, const Data<T>& data, Vector1<const int64_t> order,
            int64_t batch_size, Vector1<const double> rates, Vector1<double> losses,
            std::optional<Vector1<const double>> aheads, std::optional<Vector1<const bool>> wanted,
            std::optional<Vector1<double>> losses_at_iterate, int threads) {
    Batches batches{order.data(), int64_t(order.shape(0)), batch_size, rates.data(),
                    aheads ? aheads->data() : nullptr, wanted ? wanted->data() : nullptr,
                    losses.data(), losses_at_iterate ? losses_at_iterate->data() : nullptr};
    const size_t steps = size_t(batches.steps());
    const auto covers = [steps](const auto& given) { return !given || given->shape(0) >= steps; };
    if (rates.shape(0) < steps || losses.shape(0) < steps || !covers(aheads) || !covers(wanted) ||
        !covers(losses_at_iterate)) {
        throw std::invalid_argument("what belongs to the steps needs one entry for every step");
    }
    const Examples<T> examples = data.examples();
    nb::gil_scoped_release released;
    return network.run(examples, batches, threads);
}

// The mean loss of outputs that are given, ``[N, m]``.
template <class T>
double mean_loss(const Risk<T>& risk, const std::string& variant, Matrix<const T> outputs,
                 std::optional<Vector1<const int64_t>> classes,
                 std::optional<Matrix<const T>> numbers, std::optional<Vector1<const T>> weights) {
    const Kernels<T>& kernels = kernels_of<T>(variant);
    const int64_t examples = int64_t(outputs.shape(0)), m = int64_t(outputs.shape(1));
    const auto fits = [examples](const auto& given) {
        return !given || int64_t(given->shape(0)) == examples;
    };
    if (bool(classes) == bool(numbers) || !fits(classes) || !fits(numbers) || !fits(weights) ||
        (numbers && int64_t(numbers->shape(1)) != m)) {
        throw std::invalid_argument("each output needs a class or numbers");
    }
    const T* const counts = weights ? weights->data() : nullptr;
    const int64_t* const kinds = classes ? classes->data() : nullptr;
    const Targets targets{risk.loss, false, m, risk.ignored, risk.smoothing, risk.shape, 0};
    const T* const of_classes = risk.class_weights.empty() ? nullptr : risk.class_weights.data();
    const Activation<T> none{};
    nb::gil_scoped_release released;
    std::vector<T> z(size_t(m * PANEL)), y(numbers ? size_t(m * PANEL) : 0);
    std::vector<int64_t> order(static_cast<size_t>(examples));
    std::iota(order.begin(), order.end(), int64_t(0));
    double sum = 0, losses[PANEL];
    for (int64_t from = 0; from < examples; from += PANEL) {
        const int64_t count = std::min<int64_t>(PANEL, examples - from);
        for (int64_t i = 0; i < count; ++i) {
            const T* const row = outputs.data() + (from + i) * m;
            for (int64_t o = 0; o < m; ++o) z[size_t(o * PANEL + i)] = row[o];
        }
        if (numbers) {
            kernels.gather_targets(numbers->data(), m, order.data() + from, count, y.data());
        }
        kernels.loss(targets, Side<T>{nullptr, z.data(), m}, kinds ? kinds + from : nullptr,
                     numbers ? y.data() : nullptr, of_classes, counts ? counts + from : nullptr,
                     count, PANEL, none, nullptr, 0, nullptr, losses);
        for (int64_t i = 0; i < count; ++i) sum += losses[i];
    }
    const double mass = mass_of(risk, m, kinds, counts, mean_weight(counts, examples), order.data(),
                                examples);
    return mass == 0 ? 0 : sum / mass;
}

// In the order of the enumeration in functions.hpp.
const std::vector<std::string> FUNCTIONS = {
    "exponential", "logarithm", "hyperbolic_tangent", "logistic", "error_function",
    "gelu", "gelu_slope", "gelu_tanh", "gelu_tanh_slope", "exponential_minus_one",
    "logarithm_plus_one",
};

template <class T>
nb::object owned(size_t count, T*& memory) {
    memory = new T[std::max<size_t>(count, 1)];
    nb::capsule owner(memory, [](void* kept) noexcept { delete[] static_cast<T*>(kept); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(memory, {count}, owner));
}

template <class T>
nb::object mapped(const std::string& name, Vector1<const T> in, const std::string& variant) {
    const auto found = std::find(FUNCTIONS.begin(), FUNCTIONS.end(), name);
    if (found == FUNCTIONS.end()) throw std::invalid_argument("unknown name: " + name);
    const int function = int(found - FUNCTIONS.begin());
    T* out;
    nb::object made = owned<T>(in.shape(0), out);
    kernels_of<T>(variant).map(function, int64_t(in.shape(0)), in.data(), out);
    return made;
}

// The values of an activation and its slopes.
template <class T>
nb::tuple bent(const std::string& name, const std::vector<double>& numbers, Vector1<const T> in,
               const std::string& variant) {
    T *values, *slopes;
    nb::object first = owned<T>(in.shape(0), values), second = owned<T>(in.shape(0), slopes);
    kernels_of<T>(variant).activate(rounded<T>(activation(name, numbers)), int64_t(in.shape(0)),
                                    in.data(), values, slopes);
    return nb::make_tuple(first, second);
}

// What dropout multiplies the units of a batch by, from an example on.
template <class T>
void scaled(const std::string& variant, uint64_t key, uint32_t step, uint32_t layer, double share,
            int64_t row, Matrix<T> to) {
    const int64_t rows = int64_t(to.shape(0)), units = int64_t(to.shape(1));
    const Draw draw{key, step, layer, share};
    std::vector<T> some(size_t(units * PANEL));
    for (int64_t from = 0; from < rows; from += PANEL) {
        kernels_of<T>(variant).scales(draw, row + from, 0, units, some.data());
        for (int64_t i = from; i < std::min<int64_t>(from + PANEL, rows); ++i) {
            for (int64_t unit = 0; unit < units; ++unit) {
                to.data()[i * units + unit] = some[size_t(unit * PANEL + i - from)];
            }
        }
    }
}

template <class T>
void bind(nb::module_& module, const char* network_name, const char* data_name,
          const char* risk_name) {
    nb::class_<Data<T>>(module, data_name)
        .def("__init__",
             [](Data<T>* self, nb::ndarray<nb::ndim<2>, nb::c_contig, nb::device::cpu> x,
                std::optional<Vector1<const int64_t>> classes,
                std::optional<Matrix<const T>> numbers, double scale,
                std::optional<Vector1<const T>> mean, std::optional<Vector1<const T>> deviation,
                std::optional<Vector1<const T>> weights) {
                 if (x.dtype() != nb::dtype<uint8_t>() && x.dtype() != nb::dtype<T>()) {
                     throw std::invalid_argument("x holds neither bytes nor numbers of the network");
                 }
                 new (self) Data<T>{x, classes, numbers, scale, mean, deviation, weights};
             },
             "x"_a, "classes"_a = nb::none(), "numbers"_a = nb::none(), "scale"_a = 1.0,
             "mean"_a = nb::none(), "deviation"_a = nb::none(), "weights"_a = nb::none());
    nb::class_<Risk<T>>(module, risk_name)
        .def("__init__",
             [](Risk<T>* self, const std::string& loss, const std::string& mass, double smoothing,
                int64_t ignored, const std::vector<T>& class_weights, double shape) {
                 new (self) Risk<T>(risk<T>(loss, mass, smoothing, ignored, class_weights, shape));
             },
             "loss"_a, "mass"_a, "smoothing"_a = 0.0, "ignored"_a = -1,
             "class_weights"_a = std::vector<T>(), "shape"_a = 0.0)
        .def("mean", &mean_loss<T>, "variant"_a, "outputs"_a.noconvert(), "classes"_a = nb::none(),
             "numbers"_a = nb::none(), "weights"_a = nb::none());
    nb::class_<Network<T>>(module, network_name)
        .def("__init__",
             [](Network<T>* self, const std::string& variant, int64_t inputs,
                const std::vector<Given>& layers, bool log_softmax, const Risk<T>& risk,
                const Method& method, const Penalty& penalty, int64_t batch_size, int threads,
                double clip_norm, double clip_value, bool bfloat16) {
                 const Kernels<T>& kernels = kernels_of<T>(variant);
                 new (self) Network<T>(kernels, bfloat16 ? products_of<T>(variant) : kernels,
                                       Shape{inputs, layers, log_softmax}, risk, method, penalty,
                                       Clip{clip_norm, clip_value}, batch_size, threads);
             },
             "variant"_a, "inputs"_a, "layers"_a, "log_softmax"_a, "risk"_a, "method"_a,
             "penalty"_a, "batch_size"_a, "threads"_a, "clip_norm"_a = Clip().norm,
             "clip_value"_a = Clip().value, "bfloat16"_a = false)
        .def("set",
             [](Network<T>& self, int64_t layer, Matrix<const T> weight,
                std::optional<Vector1<const T>> bias) {
                 self.set(layer, weight.data(), bias ? bias->data() : nullptr);
             },
             "layer"_a, "weight"_a, "bias"_a = nb::none())
        .def("get",
             [](const Network<T>& self, int64_t layer, Matrix<T> weight,
                std::optional<Vector1<T>> bias) {
                 self.get(layer, weight.data(), bias ? bias->data() : nullptr);
             },
             "layer"_a, "weight"_a.noconvert(), "bias"_a.noconvert() = nb::none())
        .def("read",
             [](const Network<T>& self, int64_t layer, int column, Matrix<T> weight,
                std::optional<Vector1<T>> bias) {
                 self.read(layer, column, weight.data(), bias ? bias->data() : nullptr);
             },
             "layer"_a, "column"_a, "weight"_a.noconvert(), "bias"_a.noconvert() = nb::none())
        .def("write",
             [](Network<T>& self, int64_t layer, int column, Matrix<const T> weight,
                std::optional<Vector1<const T>> bias) {
                 self.write(layer, column, weight.data(), bias ? bias->data() : nullptr);
             },
             "layer"_a, "column"_a, "weight"_a, "bias"_a = nb::none())
        .def("set_running",
             [](Network<T>& self, int64_t layer, Vector1<const T> mean, Vector1<const T> variance,
                int64_t batches) {
                 self.set_running(layer, mean.data(), variance.data(), batches);
             },
             "layer"_a, "mean"_a, "variance"_a, "batches"_a)
        .def("get_running",
             [](const Network<T>& self, int64_t layer, Vector1<T> mean, Vector1<T> variance) {
                 return self.get_running(layer, mean.data(), variance.data());
             },
             "layer"_a, "mean"_a.noconvert(), "variance"_a.noconvert())
        .def("draw_by", &Network<T>::draw_by, "key"_a)
        .def("run", &run<T>, "data"_a, "order"_a, "batch_size"_a, "rates"_a, "losses"_a.noconvert(),
             "aheads"_a = nb::none(), "wanted"_a = nb::none(), "losses_at_iterate"_a.noconvert() = nb::none(),
             "threads"_a = 1 << 20)
        .def("outputs",
             [](Network<T>& self, const Data<T>& data, Vector1<const int64_t> order, Matrix<T> to) {
                 const Examples<T> examples = data.examples();
                 nb::gil_scoped_release released;
                 self.outputs(examples, order.data(), int64_t(order.shape(0)), to.data());
             },
             "data"_a, "order"_a, "to"_a.noconvert())
        .def_prop_rw("steps", &Network<T>::steps, &Network<T>::count_on)
        .def_prop_ro("columns", &Network<T>::columns)
        .def_prop_ro("threads", &Network<T>::threads)
        .def("timings", [](const Network<T>& self) {
            const Timings& t = self.timings();
            return std::map<std::string, double>{
                {"load", t.load}, {"forward", t.forward}, {"loss", t.loss},
                {"input_gradient", t.input_gradient}, {"update", t.update}, {"wait", t.wait},
                {"longest_wait", t.longest_wait}};
        });
    module.def("scales", &scaled<T>, "variant"_a, "key"_a, "step"_a, "layer"_a, "share"_a, "row"_a,
               "to"_a.noconvert());
    module.def("map", &mapped<T>, "name"_a, "x"_a.noconvert(), "variant"_a);
    module.def("activation", &bent<T>, "name"_a, "numbers"_a, "x"_a.noconvert(), "variant"_a);
}

NB_MODULE(_core, module) {
    module.def(
        "stream",
        [](const std::string& variant, int64_t bytes, int threads) {
            nb::gil_scoped_release released;
            return stream(kernels_of<float>(variant), bytes, threads, 0.2);
        },
        "variant"_a, "bytes"_a, "threads"_a);
    module.def("built", &built);
    module.def("runnable", &runnable);
    module.def(
        "multiplies_bfloat16", [](const std::string& variant) { return bool(in_bfloat16(variant)); },
        "variant"_a);
    nb::class_<Given>(module, "Layer")
        .def("__init__",
             [](Given* self, const std::string& kind, int64_t outputs, int64_t reads, int64_t also,
                const std::string& activation, const std::vector<double>& numbers, bool has_weight,
                bool has_bias, bool moves_weight, bool moves_bias, bool shares_weight,
                double share, double eps, double fresh) {
                 new (self) Given(layer(kind, outputs, reads, also, activation, numbers, has_weight,
                                        has_bias, moves_weight, moves_bias, shares_weight,
                                        share, eps, fresh));
             },
             "kind"_a, "outputs"_a, "reads"_a, "also"_a = -1, "activation"_a = "identity",
             "numbers"_a = std::vector<double>(), "has_weight"_a = true, "has_bias"_a = true,
             "moves_weight"_a = true, "moves_bias"_a = true, "shares_weight"_a = false,
             "share"_a = 0.0, "eps"_a = 0.0, "fresh"_a = 0.0);
    nb::class_<Method>(module, "Method")
        .def("__init__",
             [](Method* self, const std::string& rule, double momentum, double dampening,
                double weight_decay, bool decoupled, bool maximize, double beta1, double beta2,
                double eps, double lr_decay, double momentum_decay, double l1, double l2) {
                 new (self) Method(method(rule, momentum, dampening, weight_decay, decoupled,
                                          maximize, beta1, beta2, eps, lr_decay,
                                          momentum_decay, l1, l2));
             },
             "rule"_a, "momentum"_a = 0.0, "dampening"_a = 0.0, "weight_decay"_a = 0.0,
             "decoupled"_a = false, "maximize"_a = false, "beta1"_a = 0.0, "beta2"_a = 0.0,
             "eps"_a = 0.0, "lr_decay"_a = 0.0, "momentum_decay"_a = 0.0,
             "l1"_a = 0.0, "l2"_a = 0.0);
    nb::class_<Penalty>(module, "Penalty")
        .def("__init__",
             [](Penalty* self, double absolute, double square, double norm, bool proximal) {
                 new (self) Penalty(penalty(absolute, square, norm, proximal));
             },
             "absolute"_a = 0.0, "square"_a = 0.0, "norm"_a = 0.0, "proximal"_a = false);
    bind_in_place_update(module);
    bind_sparse(module);
    bind<float>(module, "Network32", "Data32", "Risk32");
    bind<double>(module, "Network64", "Data64", "Risk64");
}

}  // namespace
}  // namespace gradus
