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
constexpr int64_t ROOTS = 1 << 14;           // entries whose roots are taken in one call of torch
constexpr int64_t ALONE = 2048;              // the same where torch would wake its threads for more

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

// An update, and the arrays that it is given.
template <class T>
struct Update {
    const Kernels<T>& kernels;
    Rule rule;
    Rounding rounding;
    bool regularized;

    void operator()(Stage stage, const Flat<T>& flat, int64_t first, int64_t size, T* roots) const {
        const auto at = [&](T* vector) { return (vector ? vector : flat.w) + first; };
        kernels.move(rule, stage, rounding, regularized, flat.step, size, flat.g + first,
                     flat.w + first, at(flat.state[0]), at(flat.state[1]), at(flat.state[2]), roots);
    }
};

// A rule that takes a root goes on piece by piece: all up to the root, the root, and the rest.
// Small arrays share a piece.
template <class T>
class Pieces {
public:
    Pieces(const Update<T>& update, const Root& root, int64_t size)
        : update_(update), root_(root), size_(size) {
        static thread_local std::vector<T> memory;
        memory.resize(size_t(size));
        roots_ = memory.data();
    }

    void add(const Flat<T>& flat, int64_t first, int64_t last) {
        while (first < last) {
            const int64_t size = std::min(last - first, size_ - filled_);
            update_(Stage::BEFORE_ROOT, flat, first, size, roots_ + filled_);
            begun_.push_back({&flat, first, size});
            first += size;
            filled_ += size;
            if (filled_ == size_) finish();
        }
    }

    void finish() {
        if (filled_ == 0) return;
        is_good_ = root_(roots_, filled_) && is_good_;
        const T* roots = roots_;
        for (const Part& part : begun_) {
            update_(Stage::AFTER_ROOT, *part.flat, part.first, part.size, const_cast<T*>(roots));
            roots += part.size;
        }
        begun_.clear();
        filled_ = 0;
    }

    bool is_good() const { return is_good_; }

private:
    struct Part {
        const Flat<T>* flat;
        int64_t first, size;
    };

    const Update<T>& update_;
    const Root& root_;
    const int64_t size_;
    T* roots_;
    int64_t filled_ = 0;
    std::vector<Part> begun_;
    bool is_good_ = true;
};

template <class T>
struct Work {
    const Update<T>& update;
    const Root* root;  // null where the kernels take it
    const std::vector<Flat<T>>& list;
    int64_t total;
    int shares;
    int64_t piece;
    std::atomic<int> taken{0};
    std::atomic<bool> is_good{true};

    // The parts of arrays that make a share.
    template <class Do>
    void each_part(int number, const Do& act) const {
        const int64_t from = total * number / shares, until = total * (number + 1) / shares;
        int64_t before = 0;
        for (const Flat<T>& flat : list) {
            const auto within = [&](int64_t place) {
                if (place >= before + flat.size) return flat.size;
                return std::max<int64_t>(place - before, 0) / UNIT * UNIT;
            };
            const int64_t first = within(from), last = within(until);
            if (first < last) act(flat, first, last);
            before += flat.size;
        }
    }

    void share(int number) {
        if (root) {
            Pieces<T> pieces(update, *root, piece);
            each_part(number, [&](const Flat<T>& flat, int64_t first, int64_t last) {
                pieces.add(flat, first, last);
            });
            pieces.finish();
            if (!pieces.is_good()) is_good = false;
            return;
        }
        each_part(number, [&](const Flat<T>& flat, int64_t first, int64_t last) {
            if (!flat.previous) {
                update(Stage::WHOLE, flat, first, last - first, nullptr);
                return;
            }
            for (; first < last; first += PIECE) {
                const int64_t size = std::min(PIECE, last - first);
                std::memcpy(flat.previous + first, flat.state[0] + first, size_t(size) * sizeof(T));
                update(Stage::WHOLE, flat, first, size, nullptr);
            }
        });
    }

    // The team may be smaller than was asked for: its members take shares until none is left.
    static void member(void* self) {
        Work& work = *static_cast<Work*>(self);
        for (int next; (next = work.taken.fetch_add(1)) < work.shares;) work.share(next);
    }
};

}  // namespace

template <class T>
bool move_flat(const Kernels<T>& kernels, Rule rule, Rounding rounding, bool regularized,
               const Root* root, const std::vector<Flat<T>>& list, int threads) {
    int64_t total = 0;
    for (const Flat<T>& flat : list) total += flat.size;
    const int shares = int(std::min<int64_t>(threads, total / WORTH_A_THREAD));
    const Parallel parallel = shares > 1 && !overlap(list) ? team_of_torch() : nullptr;
    const Update<T> update{kernels, rule, rounding, regularized};
    const int64_t piece = parallel || threads == 1 ? ROOTS : ALONE;
    Work<T> work{update, root, list, total, parallel ? shares : 1, piece};
    if (parallel) {
        parallel(&Work<T>::member, &work, unsigned(shares), 0);
    } else {
        work.share(0);
    }
    return work.is_good;
}

template bool move_flat(const Kernels<float>&, Rule, Rounding, bool, const Root*,
                        const std::vector<Flat<float>>&, int);
template bool move_flat(const Kernels<double>&, Rule, Rounding, bool, const Root*,
                        const std::vector<Flat<double>>&, int);

}  // namespace gradus
