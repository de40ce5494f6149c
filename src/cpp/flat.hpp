// How a list of arrays moves by one step, on torch's own threads.
//
// Every entry moves by itself, so nothing depends on how the entries are divided among threads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace gradus {

// The numbers of one parameter in the order in which they lie in memory: what a rule does not
// remember is null.
template <class T>
struct Flat {
    int64_t size;
    const T* g;
    T* w;
    T* state[3];
    T* previous;  // where Nesterov's last iterate is kept, or null
    Step<T> step;
};

template <class T>
void move_flat(const Kernels<T>&, Rule, Regularization, const std::vector<Flat<T>>&, int threads);

}  // namespace gradus
