#include "mass.hpp"
#include "sparse_module.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "sparse.hpp"
#include "variants.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace gradus {
namespace {

template <class T>
using Vector1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Examples as Python holds them; what is pointed to lives as long as this does.
template <class T>
struct SparseData {
    Vector1<const int64_t> starts;
    Vector1<const int32_t> columns;
    Vector1<const T> values;
    std::optional<Vector1<const int64_t>> classes;
    std::optional<Matrix<const T>> numbers;
    std::optional<Vector1<const T>> weights;

    SparseExamples<T> examples() const {
        return {starts.data(), columns.data(), values.data(), classes ? classes->data() : nullptr,
                numbers ? numbers->data() : nullptr, weights ? weights->data() : nullptr,
                weights ? mean_weight(weights->data(), int64_t(weights->shape(0))) : 1};
    }
};

// What would read outside of the arrays, or move a column twice in a step, is refused.
void check_rows(int64_t features, const Vector1<const int64_t>& starts,
                const Vector1<const int32_t>& columns, size_t entries) {
    const int64_t* const at = starts.data();
    const int32_t* const column = columns.data();
    const size_t rows = starts.shape(0) == 0 ? 0 : starts.shape(0) - 1;
    bool holds = starts.shape(0) > 0 && at[0] == 0 && size_t(at[rows]) == entries &&
                 columns.shape(0) == entries;
    for (size_t row = 0; holds && row < rows; ++row) {
        int64_t before = -1;
        holds = at[row] <= at[row + 1] && size_t(at[row + 1]) <= entries;
        for (int64_t i = at[row]; holds && i < at[row + 1]; ++i) {
            holds = column[i] > before && column[i] < features;
            before = column[i];
        }
    }
    if (!holds) {
        throw std::invalid_argument("the columns of a row ascend, and lie among the features");
    }
}

template <class T>
const Kernels<T>& kernels_of(const std::string& name) {
    const Variant variant = variant_of(name);
    if constexpr (sizeof(T) == 4) return *variant.single;
    else return *variant.twice;
}

template <class T>
int64_t run(Sparse<T>& model, const SparseData<T>& data, Vector1<const int64_t> order,
            int64_t batch_size, Vector1<const double> rates, Vector1<double> losses,
            std::optional<Vector1<const double>> aheads, std::optional<Vector1<const bool>> wanted,
            std::optional<Vector1<double>> losses_at_iterate) {
    const Batches batches{order.data(), int64_t(order.shape(0)), batch_size, rates.data(),
                          aheads ? aheads->data() : nullptr, wanted ? wanted->data() : nullptr,
                          losses.data(), losses_at_iterate ? losses_at_iterate->data() : nullptr};
    const size_t steps = size_t(batches.steps());
    const auto covers = [steps](const auto& given) { return !given || given->shape(0) >= steps; };
    if (rates.shape(0) < steps || losses.shape(0) < steps || !covers(aheads) || !covers(wanted) ||
        !covers(losses_at_iterate)) {
        throw std::invalid_argument("what belongs to the steps needs one entry for every step");
    }
    const SparseExamples<T> examples = data.examples();
    nb::gil_scoped_release released;
    return model.run(examples, batches);
}

// A copy as an array of Python's own.
template <class T>
nb::object copied(const T* from, size_t count) {
    T* const memory = new T[std::max<size_t>(count, 1)];
    std::copy_n(from, count, memory);
    nb::capsule owner(memory, [](void* kept) noexcept { delete[] static_cast<T*>(kept); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(memory, {count}, owner));
}

template <class T>
nb::dict kept(Sparse<T>& model) {
    nb::dict found;
    for (int column = 0; column < model.columns(); ++column) {
        const std::vector<T>& numbers = model.kept(column);
        found[nb::str(std::to_string(column).c_str())] = copied(numbers.data(), numbers.size());
    }
    found["behind"] = copied(model.behind().data(), model.behind().size());
    const double shrinking[] = {model.shrinking().scale, model.shrinking().threshold};
    found["shrinking"] = copied(shrinking, 2);
    const std::vector<Matrix2>& since = model.since();
    found["since"] = copied(reinterpret_cast<const double*>(since.data()), 4 * since.size());
    return found;
}

template <class Number>
void fill(std::vector<Number>& to, const nb::dict& kept, const char* name) {
    const auto given = nb::cast<Vector1<const Number>>(kept[name]);
    if (given.shape(0) != to.size()) throw std::invalid_argument("kept of another model");
    std::copy_n(given.data(), to.size(), to.begin());
}

template <class T>
void go_on(Sparse<T>& model, const nb::dict& kept, int64_t steps) {
    for (int column = 0; column < model.columns(); ++column) {
        fill(model.kept(column), kept, std::to_string(column).c_str());
    }
    fill(model.behind(), kept, "behind");
    std::vector<double> shrinking(2);
    fill(shrinking, kept, "shrinking");
    model.shrinking() = {shrinking[0], shrinking[1]};
    const auto since = nb::cast<Vector1<const double>>(kept["since"]);
    model.go_on(steps, reinterpret_cast<const Matrix2*>(since.data()), int64_t(since.shape(0)) / 4);
}

template <class T>
void bind(nb::module_& module, const char* model_name, const char* data_name) {
    nb::class_<SparseData<T>>(module, data_name)
        .def("__init__",
             [](SparseData<T>* self, int64_t features, Vector1<const int64_t> starts,
                Vector1<const int32_t> columns, Vector1<const T> values, std::optional<Vector1<const int64_t>> classes,
                std::optional<Matrix<const T>> numbers, std::optional<Vector1<const T>> weights) {
                 check_rows(features, starts, columns, values.shape(0));
                 new (self) SparseData<T>{starts, columns, values, classes, numbers, weights};
             },
             "features"_a, "starts"_a, "columns"_a, "values"_a, "classes"_a = nb::none(),
             "numbers"_a = nb::none(), "weights"_a = nb::none());
    nb::class_<Sparse<T>>(module, model_name)
        .def("__init__",
             [](Sparse<T>* self, const std::string& variant, int64_t features, int64_t outputs,
                bool has_bias, bool log_softmax, const Risk<T>& risk, const Method& method,
                const Penalty& penalty, int threads, double clip_norm,
                double clip_value) {
                 new (self) Sparse<T>(kernels_of<T>(variant), kernels_of<double>(variant), features,
                                      outputs, has_bias, log_softmax, risk, method, penalty,
                                      Clip{clip_norm, clip_value}, threads);
             },
             "variant"_a, "features"_a, "outputs"_a, "has_bias"_a, "log_softmax"_a, "risk"_a,
             "method"_a, "penalty"_a, "threads"_a, "clip_norm"_a = Clip().norm,
             "clip_value"_a = Clip().value)
        .def("set",
             [](Sparse<T>& self, Matrix<const T> weight, std::optional<Vector1<const T>> bias) {
                 self.set(weight.data(), bias ? bias->data() : nullptr);
             },
             "weight"_a, "bias"_a = nb::none())
        .def("get",
             [](Sparse<T>& self, Matrix<T> weight, std::optional<Vector1<T>> bias) {
                 self.get(weight.data(), bias ? bias->data() : nullptr);
             },
             "weight"_a.noconvert(), "bias"_a.noconvert() = nb::none())
        .def("read",
             [](const Sparse<T>& self, int column, Matrix<T> weight,
                std::optional<Vector1<T>> bias) {
                 self.read(column, weight.data(), bias ? bias->data() : nullptr);
             },
             "column"_a, "weight"_a.noconvert(), "bias"_a.noconvert() = nb::none())
        .def("write",
             [](Sparse<T>& self, int column, Matrix<const T> weight,
                std::optional<Vector1<const T>> bias) {
                 self.write(column, weight.data(), bias ? bias->data() : nullptr);
             },
             "column"_a, "weight"_a, "bias"_a = nb::none())
        .def("kept", &kept<T>)
        .def("go_on", &go_on<T>, "kept"_a, "steps"_a)
        .def("run", &run<T>, "data"_a, "order"_a, "batch_size"_a, "rates"_a, "losses"_a.noconvert(),
             "aheads"_a = nb::none(), "wanted"_a = nb::none(),
             "losses_at_iterate"_a.noconvert() = nb::none())
        .def("outputs",
             [](Sparse<T>& self, const SparseData<T>& data, Vector1<const int64_t> order,
                Matrix<T> to) {
                 const SparseExamples<T> examples = data.examples();
                 nb::gil_scoped_release released;
                 self.outputs(examples, order.data(), int64_t(order.shape(0)), to.data());
             },
             "data"_a, "order"_a, "to"_a.noconvert())
        .def_prop_ro("steps", &Sparse<T>::steps)
        .def_prop_ro("columns", &Sparse<T>::columns);
}

}  // namespace

void bind_sparse(nb::module_& module) {
    bind<float>(module, "Sparse32", "SparseData32");
    bind<double>(module, "Sparse64", "SparseData64");
}

}  // namespace gradus
