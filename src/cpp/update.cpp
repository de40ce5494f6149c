// The updates of arrays, compiled so that no operations are contracted but those that say so.
#include "update.hpp"

#include "move.hpp"

namespace gradus::GRADUS_VARIANT {
namespace {

template <class T, Rule rule, Stage stage, Rounding rounding, Regularization regularization>
GRADUS_INLINE void move_vector(T* g_at, T* w_at, T* s_at, T* s2_at, T* s3_at, T* roots_at,
                               const Step<Vector<T>>& step) {
    if constexpr (stage == Stage::WHOLE) {
        move<T, rule, regularization, rounding>(load(g_at), w_at, s_at, s2_at, s3_at, step);
    } else {
        const Vector<T> w = load(w_at);
        const Vector<T> g = whole_gradient<T, regularization, rounding>(load(g_at), w, step);
        // Libraries may be slow at 0, the root of which is no question.
        const Vector<T> zero = {};
        if constexpr (stage == Stage::BEFORE_ROOT) {
            const Vector<T> square = accumulate<T, rule, rounding>(g, s_at, s2_at, s3_at, step);
            store(roots_at, square == zero ? every<T>(1) : square);
        } else {
            const Vector<T> square = square_of<T, rule, rounding>(s_at, s2_at, s3_at);
            const Vector<T> root = square == zero ? zero : load(roots_at);
            store(w_at, divided_step<T, rule, rounding>(w, g, s_at, s2_at, s3_at, root, step));
        }
    }
}

template <class T, Rule rule, Stage stage, Rounding rounding, Regularization regularization>
void move_all(const Step<T>& numbers, int64_t size, const T* g, T* w, T* s, T* s2, T* s3,
              T* roots) {
    constexpr int ARRAYS = 6;
    const Step<Vector<T>> step = in_every_lane(numbers);
    T* const all[ARRAYS] = {const_cast<T*>(g), w, s, s2, s3, roots};
    int64_t i = 0;
    for (; i + LANES<T> <= size; i += LANES<T>) {
        move_vector<T, rule, stage, rounding, regularization>(all[0] + i, w + i, s + i, s2 + i,
                                                              s3 + i, roots + i, step);
    }
    if (i == size) return;
    // What a rule does not remember is w, which must not be written back by its name.
    constexpr int KEPT = REMEMBERED[int(rule)];
    const auto is_used = [](int k) { return k < 2 + KEPT || (k == 5 && stage != Stage::WHOLE); };
    T rest[ARRAYS][LANES<T>] = {};
    for (int k = 0; k < ARRAYS; ++k) {
        for (int64_t j = i; is_used(k) && j < size; ++j) rest[k][j - i] = all[k][j];
    }
    move_vector<T, rule, stage, rounding, regularization>(rest[0], rest[1], rest[2], rest[3],
                                                          rest[4], rest[5], step);
    for (int k = 1; k < ARRAYS; ++k) {
        for (int64_t j = i; is_used(k) && j < size; ++j) all[k][j] = rest[k][j - i];
    }
}

template <class T>
using Move = void (*)(const Step<T>&, int64_t, const T*, T*, T*, T*, T*, T*);

// By stage, by rounding, and by whether there is weight decay or a direction.
template <class T, Rule rule, Stage stage>
constexpr Move<T> OF_STAGE[2][2] = {
    {move_all<T, rule, stage, Rounding::ONCE, Regularization::NONE>,
     move_all<T, rule, stage, Rounding::ONCE, Regularization::DECAY>},
    {move_all<T, rule, stage, Rounding::TWICE, Regularization::NONE>,
     move_all<T, rule, stage, Rounding::TWICE, Regularization::DECAY>},
};

template <class T, Rule rule>
Move<T> kernel(Stage stage, Rounding rounding, bool regularized) {
    if constexpr (takes_root(rule)) {
        if (stage == Stage::BEFORE_ROOT) {
            return OF_STAGE<T, rule, Stage::BEFORE_ROOT>[int(rounding)][regularized];
        }
        if (stage == Stage::AFTER_ROOT) {
            return OF_STAGE<T, rule, Stage::AFTER_ROOT>[int(rounding)][regularized];
        }
    }
    return OF_STAGE<T, rule, Stage::WHOLE>[int(rounding)][regularized];
}

template <class T>
constexpr Move<T> (*KERNELS[])(Stage, Rounding, bool) = {
    kernel<T, Rule::DESCENT>, kernel<T, Rule::POLYAK>, kernel<T, Rule::NESTEROV>,
    kernel<T, Rule::SGD>, kernel<T, Rule::SGD_NESTEROV>, kernel<T, Rule::ADAM>,
    kernel<T, Rule::AMSGRAD>, kernel<T, Rule::ADAGRAD>, kernel<T, Rule::RMSPROP>,
    kernel<T, Rule::RMSPROP_MOMENTUM>, kernel<T, Rule::RMSPROP_CENTERED>,
    kernel<T, Rule::RMSPROP_CENTERED_MOMENTUM>,
};

}  // namespace

template <class T>
void move_arrays(Rule rule, Stage stage, Rounding rounding, bool regularized, const Step<T>& step,
                 int64_t size, const T* g, T* w, T* s, T* s2, T* s3, T* roots) {
    KERNELS<T>[int(rule)](stage, rounding, regularized)(step, size, g, w, s, s2, s3, roots);
}

template void move_arrays(Rule, Stage, Rounding, bool, const Step<float>&, int64_t, const float*,
                          float*, float*, float*, float*, float*);
template void move_arrays(Rule, Stage, Rounding, bool, const Step<double>&, int64_t, const double*,
                          double*, double*, double*, double*, double*);

}  // namespace gradus::GRADUS_VARIANT
