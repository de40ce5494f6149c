// The update in the tile: rows of weights move by a gradient that is still in registers.
#pragma once

#include "kernels.hpp"
#include "move.hpp"
#include "product.hpp"

namespace gradus::GRADUS_VARIANT {

// Arrays, by a gradient that is in memory.
template <class T, Rule rule, Regularization regularization>
void move_all(const Step<T>& numbers, int64_t size, const T* g, T* w, T* s, T* s2, T* s3) {
    constexpr int KEPT = REMEMBERED[int(rule)];
    const Step<Vector<T>> step = in_every_lane(numbers);
    int64_t i = 0;
    for (; i + LANES<T> <= size; i += LANES<T>) {
        move<T, rule, regularization, Rounding::CHEAPEST>(load(g + i), w + i, s + i, s2 + i,
                                                          s3 + i, step);
    }
    if (i == size) return;
    T rest[5][LANES<T>] = {};  // g, w, and what is remembered
    T* all[5] = {const_cast<T*>(g), w, s, s2, s3};
    for (int k = 0; k < 2 + KEPT; ++k) {
        for (int64_t j = i; j < size; ++j) rest[k][j - i] = all[k][j];
    }
    move<T, rule, regularization, Rounding::CHEAPEST>(load(rest[0]), rest[1], rest[2], rest[3],
                                                      rest[4], step);
    for (int k = 1; k < 2 + KEPT; ++k) {
        for (int64_t j = i; j < size; ++j) all[k][j] = rest[k][j - i];
    }
}

// The same for the rules that move weights so, by their numbers from Rule::LION on.
template <class T>
using MoveBy = void (*)(const Step<T>&, int64_t, const T*, T*, T*, T*, T*);
template <class T, Rule rule>
constexpr MoveBy<T> APART[3] = {
    move_all<T, rule, Regularization::NONE>,
    move_all<T, rule, Regularization::GRADIENT>,
    move_all<T, rule, Regularization::PROXIMAL>,
};
template <class T>
constexpr const MoveBy<T>* APART_BY_RULE[] = {
    APART<T, Rule::LION>,  APART<T, Rule::ADAMAX>, APART<T, Rule::ADADELTA>,
    APART<T, Rule::NADAM>, APART<T, Rule::RADAM>,  APART<T, Rule::ADOPT>,
    APART<T, Rule::FTRL>,
};

// Rows of a tile that moves weights. Low tiles follow each other sooner: while one waits for its
// weights, the product of the next goes on.
template <class T, int P>
constexpr int UPDATE_ROWS = ROWS<T, P> < 8 ? ROWS<T, P> : 8;

// Rows first..last of P panels, whose weights begin at `at`, move by one step. `Gradients` says
// into(tile, row) what the gradient of a tile is, put<P>(first, last, to, apart) the same to memory,
// and is told by moved<P>(first, last) of what has moved.
template <class T, class Gradients, Rule rule, Regularization regularization, int P>
void take_step(const Gradients& gradients, int64_t at, int64_t first, int64_t last,
               const Step<T>& numbers) {
    constexpr int R = UPDATE_ROWS<T, P>, KEPT = REMEMBERED[int(rule)], WHOLE = P == 0 ? 1 : P;
    const Step<Vector<T>> step = in_every_lane(numbers);
    const Layer<T>& layer = gradients.layer;
    const int64_t apart = gradients.apart();
    T* const w = layer.weights + at;
    T* s[3];
    for (int i = 0; i < 3; ++i) s[i] = (i < KEPT ? layer.state[i] : layer.weights) + at;
    int64_t row = first;
    for (; row + R <= last; row += R) {
        Tile<T, R, P> tile;
        gradients.into(tile, row);
        for (int v = 0; v < VECTORS<T, P>; ++v) {
            for (int r = 0; r < R; ++r) {
                const int64_t i = (row + r) * PANEL + tile.place(v, apart);
                move<T, rule, regularization, Rounding::CHEAPEST>(
                    tile.at[r][v], w + i, s[0] + i, s[1] + i, s[2] + i, step);
            }
        }
        gradients.template moved<P>(row, row + R);
    }
    if (row == last) return;
    T rest[WHOLE * R * PANEL];
    const int64_t left = (last - row) * PANEL;
    gradients.template put<P>(row, last, rest, left);
    for (int p = 0; p < WHOLE; ++p) {
        const int64_t i = row * PANEL + p * apart;
        move_all<T, rule, regularization>(numbers, left, rest + p * left, w + i, s[0] + i, s[1] + i,
                                          s[2] + i);
    }
    gradients.template moved<P>(row, last);
}

// Every rule that moves weights in the tile with every regularization, by their numbers.

template <class T, class Gradients>
using StepBy = void (*)(const Gradients&, int64_t, int64_t, int64_t, const Step<T>&);
template <class T, class Gradients, int P, Rule rule>
constexpr StepBy<T, Gradients> STEPS[3] = {
    take_step<T, Gradients, rule, Regularization::NONE, P>,
    take_step<T, Gradients, rule, Regularization::GRADIENT, P>,
    take_step<T, Gradients, rule, Regularization::PROXIMAL, P>,
};

template <class T, class G, int P>
constexpr const StepBy<T, G>* STEPS_BY_RULE[] = {
    STEPS<T, G, P, Rule::DESCENT>,          STEPS<T, G, P, Rule::POLYAK>,
    STEPS<T, G, P, Rule::NESTEROV>,         STEPS<T, G, P, Rule::SGD>,
    STEPS<T, G, P, Rule::SGD_NESTEROV>,     STEPS<T, G, P, Rule::ADAM>,
    STEPS<T, G, P, Rule::AMSGRAD>,          STEPS<T, G, P, Rule::ADAGRAD>,
    STEPS<T, G, P, Rule::RMSPROP>,          STEPS<T, G, P, Rule::RMSPROP_MOMENTUM>,
    STEPS<T, G, P, Rule::RMSPROP_CENTERED>, STEPS<T, G, P, Rule::RMSPROP_CENTERED_MOMENTUM>,
};

}  // namespace gradus::GRADUS_VARIANT
