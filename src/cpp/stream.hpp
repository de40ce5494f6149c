// How fast numbers come from a cache and go back: what a pass over the weights cannot beat.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels.hpp"
#include "team.hpp"

namespace gradus {

// Bytes per second of w -= rate * g, which reads two numbers and writes one, over arrays that hold
// `bytes` together, the members each with their own part; the best of many passes.
inline double stream(const Kernels<float>& kernels, int64_t bytes, int members, double seconds) {
    using Clock = std::chrono::steady_clock;
    constexpr int64_t ARRAYS = 2, MOVED = 3;
    const int64_t each = bytes / int64_t(sizeof(float)) / ARRAYS / members;
    std::vector<std::vector<float>> w(members), g(members);
    double best = 0;
    bool over = false;
    Barrier barrier(members);
    Step<float> step{};
    step.rate = 1e-6f;
    together(members, [&](int member) {
        w[size_t(member)].assign(size_t(each), 1);
        g[size_t(member)].assign(size_t(each), 1);
        float* const mine = w[size_t(member)].data();
        const auto begin = Clock::now();
        while (!over) {
            barrier.wait();
            const auto from = Clock::now();
            kernels.move(Rule::DESCENT, Stage::WHOLE, Rounding::TWICE, false, step, each,
                         g[size_t(member)].data(), mine, mine, mine, mine, nullptr);
            barrier.wait();
            const auto to = Clock::now();
            if (member == 0) {
                const std::chrono::duration<double> took = to - from, spent = to - begin;
                const double moved = double(MOVED * each * members) * sizeof(float);
                best = std::max(best, moved / took.count());
                over = spent.count() > seconds;
            }
            barrier.wait();
        }
    });
    return best;
}

}  // namespace gradus
