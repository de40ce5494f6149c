#include "flat.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

namespace gradus {
namespace {

constexpr int64_t WORTH_A_THREAD = 1 << 16;  // entries; waking a thread costs as much as moving them
constexpr int64_t UNIT = 64;                 // entries between which no thread ends
constexpr int64_t PIECE = 2048;              // entries that stay in the first cache

// GOMP_parallel of the OpenMP runtime that torch has loaded: its threads wait for work already, and
// threads of our own would take the processors from them. Null where torch has another runtime.
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

Parallel team_of_torch() {
    static const Parallel found =
        reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    return found;
}

// Whether parameters share memory: which of them moves first then matters.
template <class T>
bool overlap(const std::vector<Flat<T>>& list) {
    std::vector<std::pair<const T*, int64_t>> parts;
    for (const Flat<T>& flat : list) {
        if (flat.size) parts.emplace_back(flat.w, flat.size);
    }
    std::sort(parts.begin(), parts.end());
    for (size_t i = 1; i < parts.size(); ++i) {
        if (parts[i - 1].first + parts[i - 1].second > parts[i].first) return true;
    }
    return false;
}

template <class T>
void move_part(const Kernels<T>& kernels, Rule rule, Regularization regularization,
               const Flat<T>& flat, int64_t first, int64_t last) {
    const auto at = [&](T* vector) { return vector ? vector + first : flat.w + first; };
    if (!flat.previous) {
        kernels.move(rule, regularization, flat.step, last - first, flat.g + first, flat.w + first,
                     at(flat.state[0]), at(flat.state[1]), at(flat.state[2]));
        return;
    }
    for (; first < last; first += PIECE) {
        const int64_t size = std::min(PIECE, last - first);
        std::memcpy(flat.previous + first, flat.state[0] + first, size_t(size) * sizeof(T));
        kernels.move(rule, regularization, flat.step, size, flat.g + first, flat.w + first,
                     at(flat.state[0]), at(flat.state[1]), at(flat.state[2]));
    }
}

template <class T>
struct Work {
    const Kernels<T>& kernels;
    Rule rule;
    Regularization regularization;
    const std::vector<Flat<T>>& list;
    int64_t total;
    int shares;
    std::atomic<int> taken{0};

    void share(int number) const {
        const int64_t from = total * number / shares, until = total * (number + 1) / shares;
        int64_t before = 0;
        for (const Flat<T>& flat : list) {
            const auto within = [&](int64_t place) {
                if (place >= before + flat.size) return flat.size;
                return std::max<int64_t>(place - before, 0) / UNIT * UNIT;
            };
            const int64_t first = within(from), last = within(until);
            if (first < last) move_part(kernels, rule, regularization, flat, first, last);
            before += flat.size;
        }
    }

    // The team may be smaller than was asked for: its members take shares until none is left.
    static void member(void* self) {
        Work& work = *static_cast<Work*>(self);
        for (int next; (next = work.taken.fetch_add(1)) < work.shares;) work.share(next);
    }
};

}  // namespace

template <class T>
void move_flat(const Kernels<T>& kernels, Rule rule, Regularization regularization,
               const std::vector<Flat<T>>& list, int threads) {
    int64_t total = 0;
    for (const Flat<T>& flat : list) total += flat.size;
    const int shares = int(std::min<int64_t>(threads, total / WORTH_A_THREAD));
    const Parallel parallel = shares > 1 && !overlap(list) ? team_of_torch() : nullptr;
    Work<T> work{kernels, rule, regularization, list, total, parallel ? shares : 1};
    if (parallel) {
        parallel(&Work<T>::member, &work, unsigned(shares), 0);
    } else {
        work.share(0);
    }
}

template void move_flat(const Kernels<float>&, Rule, Regularization, const std::vector<Flat<float>>&,
                        int);
template void move_flat(const Kernels<double>&, Rule, Regularization,
                        const std::vector<Flat<double>>&, int);

}  // namespace gradus
