#include "inplace.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "flat.hpp"
#include "method.hpp"
#include "root.hpp"
#include "tensors.hpp"
#include "variants.hpp"

namespace gradus {
namespace {

// Moves lists of torch's tensors by a method, each operation rounded as torch rounds it. The columns
// are w, the gradients, what the rule remembers, and for Nesterov's the iterate before, where it is
// kept.
class InPlaceUpdate {
public:
    InPlaceUpdate(const std::string& variant, const Method& method, bool rounds_once,
                  bool asks_for_roots, const Reader& reader)
        : variant_(variant_of(variant)), method_(method),
          rounding_(rounds_once ? Rounding::ONCE : Rounding::TWICE),
          asks_for_roots_(asks_for_roots && takes_root(method.rule)), reader_(reader),
          root_(reader.function()) {}

    // False, and nothing has moved, where they are not what the kernels take. The number of a step
    // is `step`, or that in the tensor of each parameter in `steps`, which then counts on.
    bool apply(double rate, double ahead, int64_t step, int threads,
              const std::vector<nb::list>& columns, std::optional<nb::list> steps) const {
        if (columns[0].size() == 0) return true;
        if (asks_for_roots_ && !root_.is_known()) return false;
        nb::dlpack::dltensor first;
        if (!reader_(columns[0][0].ptr(), first)) return false;
        const auto& by = holds<float>(first) ? &InPlaceUpdate::apply_to<float>
                                             : &InPlaceUpdate::apply_to<double>;
        return (this->*by)(rate, ahead, step, threads, columns, steps);
    }

private:
    template <class T>
    const Kernels<T>& kernels() const {
        if constexpr (sizeof(T) == 4) return *variant_.single;
        else return *variant_.twice;
    }

    template <class T>
    bool apply_to(double rate, double ahead, int64_t step, int threads,
                  const std::vector<nb::list>& columns,
                  const std::optional<nb::list>& steps) const {
        const size_t kept = size_t(REMEMBERED[int(method_.rule)]);
        const size_t count = columns[0].size();
        std::vector<Flat<T>> list(count);
        std::vector<Count> counts(steps ? count : 0);
        Step<T> at = numbers<T>(method_, Penalty(), rate, ahead, step, 0);
        int64_t known = step;
        for (size_t i = 0; i < count; ++i) {
            nb::dlpack::dltensor w, other;
            if (!reader_(columns[0][i].ptr(), w) || !holds<T>(w) || !fills(w)) return false;
            T* found[6] = {address<T>(w)};
            for (size_t k = 1; k < columns.size(); ++k) {
                if (!reader_(columns[k][i].ptr(), other) || !holds<T>(other) || !alike(other, w)) {
                    return false;
                }
                found[k] = address<T>(other);
            }
            if (steps) {
                if (!reader_((*steps)[i].ptr(), other) || !counts[i].read(other)) return false;
                if (counts[i].value() != known) {
                    known = counts[i].value();
                    at = numbers<T>(method_, Penalty(), rate, ahead, known, 0);
                }
            }
            Flat<T>& flat = list[i];
            flat = {entries(w), found[1], found[0], {}, nullptr, at};
            for (size_t k = 0; k < kept; ++k) flat.state[k] = found[2 + k];
            if (columns.size() > 2 + kept) flat.previous = found[2 + kept];
        }
        nb::gil_scoped_release released;
        const bool regularized = regularization(method_, Penalty()) != Regularization::NONE;
        const Root* const root = asks_for_roots_ ? &root_ : nullptr;
        if (!move_flat(kernels<T>(), method_.rule, rounding_, regularized, root, list, threads)) {
            throw std::runtime_error("torch took no square root: the parameters are damaged");
        }
        for (const Count& each : counts) each.advance();
        return true;
    }

    // A count of steps in a tensor of one number.
    struct Count {
        float* single = nullptr;
        double* twice = nullptr;

        bool read(const nb::dlpack::dltensor& tensor) {
            if (entries(tensor) != 1) return false;
            if (holds<float>(tensor)) single = address<float>(tensor);
            if (holds<double>(tensor)) twice = address<double>(tensor);
            return single || twice;
        }
        int64_t value() const { return int64_t(single ? *single : *twice); }
        void advance() const {
            if (single) *single += 1;
            else *twice += 1;
        }
    };

    Variant variant_;
    Method method_;
    Rounding rounding_;
    bool asks_for_roots_;
    Reader reader_;
    Root root_;
};

}  // namespace

void bind_in_place_update(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<InPlaceUpdate>(module, "InPlaceUpdate")
        .def("__init__",
             [](InPlaceUpdate* self, const std::string& variant, const Method& method,
                bool rounds_once, bool asks_for_roots, nb::capsule exchange,
                std::vector<nb::object> types) {
                 new (self) InPlaceUpdate(variant, method, rounds_once, asks_for_roots,
                                          Reader(exchange, std::move(types)));
             },
             "variant"_a, "method"_a, "rounds_once"_a, "asks_for_roots"_a, "exchange"_a, "types"_a)
        .def("apply", &InPlaceUpdate::apply, "rate"_a, "ahead"_a, "step"_a, "threads"_a, "columns"_a,
             "steps"_a = nb::none());
}

}  // namespace gradus
