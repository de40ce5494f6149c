// How a list of arrays moves by one step, on torch's own threads.
//
// Every entry moves by itself, so nothing depends on how the entries are divided among threads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "root.hpp"

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

// Square roots are torch's, or where there is no `root` the processor's, all in one pass. Whether it
// was done: torch may fail to take a root.
template <class T>
bool move_flat(const Kernels<T>&, Rule, Rounding, bool regularized, const Root* root,
               const std::vector<Flat<T>>& list, int threads);

}  // namespace gradus
