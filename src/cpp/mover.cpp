#include "mover.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flat.hpp"
#include "method.hpp"
#include "tensors.hpp"
#include "variants.hpp"

namespace gradus {
namespace {

// Moves lists of torch's tensors by a method. The columns are w, the gradients, what the rule
// remembers, and for Nesterov's the iterate before, where it is kept.
class Mover {
public:
    Mover(const std::string& variant, const Method& method, const Penalty& penalty,
          const Reader& reader)
        : variant_(variant_of(variant)), method_(method), penalty_(penalty), reader_(reader) {}

    // False, and nothing has moved, where they are not what the kernels take. The number of a step
    // is `step`, or that in the tensor of each parameter in `steps`, which then counts on.
    bool move(double rate, double ahead, int64_t step, int threads,
              const std::vector<nb::list>& columns, std::optional<nb::list> steps) const {
        if (columns[0].size() == 0) return true;
        nb::dlpack::dltensor first;
        if (!reader_(columns[0][0].ptr(), first)) return false;
        const auto& by = holds<float>(first) ? &Mover::move_numbers<float>
                                             : &Mover::move_numbers<double>;
        return (this->*by)(rate, ahead, step, threads, columns, steps);
    }

private:
    template <class T>
    const Kernels<T>& kernels() const {
        if constexpr (sizeof(T) == 4) return *variant_.single;
        else return *variant_.twice;
    }

    template <class T>
    bool move_numbers(double rate, double ahead, int64_t step, int threads,
                      const std::vector<nb::list>& columns,
                      const std::optional<nb::list>& steps) const {
        const size_t kept = size_t(REMEMBERED[int(method_.rule)]);
        const size_t count = columns[0].size();
        std::vector<Flat<T>> list(count);
        std::vector<Count> counts(steps ? count : 0);
        Step<T> at = numbers<T>(method_, penalty_, rate, ahead, step, 0);
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
                    at = numbers<T>(method_, penalty_, rate, ahead, known, 0);
                }
            }
            Flat<T>& flat = list[i];
            flat = {entries(w), found[1], found[0], {}, nullptr, at};
            for (size_t k = 0; k < kept; ++k) flat.state[k] = found[2 + k];
            if (columns.size() > 2 + kept) flat.previous = found[2 + kept];
        }
        nb::gil_scoped_release released;
        move_flat(kernels<T>(), method_.rule, regularization(method_, penalty_), list, threads);
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
    Penalty penalty_;
    Reader reader_;
};

}  // namespace

void bind_mover(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<Mover>(module, "Mover")
        .def("__init__",
             [](Mover* self, const std::string& variant, const Method& method,
                const Penalty& penalty, nb::capsule exchange, std::vector<nb::object> types) {
                 new (self) Mover(variant, method, penalty, Reader(exchange, std::move(types)));
             },
             "variant"_a, "method"_a, "penalty"_a, "exchange"_a, "types"_a)
        .def("move", &Mover::move, "rate"_a, "ahead"_a, "step"_a, "threads"_a, "columns"_a,
             "steps"_a = nb::none());
}

}  // namespace gradus
