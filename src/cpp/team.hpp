// Threads that work on one run together.
//
// They live as long as the call that needs them and no longer: between calls nothing spins and
// nothing sleeps in a pool, so that torch's own threads have the processors to themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gradus {

// Where all members wait until the last has come.
class Barrier {
public:
    explicit Barrier(int members) : members_(members) {}

    void wait() {
        if (members_ == 1) return;
        const uint32_t turn = turn_.load(std::memory_order_relaxed);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
            waiting_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            return;
        }
        // Members come within microseconds of each other, unless another process has the
        // processor of one of them: then it is given the time that waiting would take.
        for (int spins = 0; turn_.load(std::memory_order_acquire) == turn; ++spins) {
            if (spins < 4000) {
                pause();
            } else {
                std::this_thread::yield();
            }
        }
    }

private:
    static void pause() {
#if defined(__x86_64__)
        _mm_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

    const int members_;
    alignas(64) std::atomic<int> waiting_{0};
    alignas(64) std::atomic<uint32_t> turn_{0};
};

// The part of `whole` that is a member's, in units of `unit`: first and last.
struct Share {
    int64_t first, last;

    Share(int64_t whole, int member, int members, int64_t unit = 1) {
        const int64_t units = (whole + unit - 1) / unit;
        first = units * member / members * unit;
        last = units * (member + 1) / members * unit;
        if (last > whole) last = whole;
    }
};

// Let every member do the work, the caller as number 0. Nobody begins before all are there: where
// the system refuses a thread, those that have come leave, and what it says is thrown.
template <class Work>
void together(int members, const Work& work) {
    enum { WAIT, WORK, LEAVE };
    std::atomic<int> word{WAIT};
    std::vector<std::thread> others;
    others.reserve(size_t(members - 1));
    const auto give = [&](int given) {
        word.store(given, std::memory_order_release);
        if (given == WORK) work(0);
        for (std::thread& other : others) other.join();
    };
    try {
        for (int member = 1; member < members; ++member) {
            others.emplace_back([&work, &word, member] {
                int heard;
                while ((heard = word.load(std::memory_order_acquire)) == WAIT) {
                    std::this_thread::yield();
                }
                if (heard == WORK) work(member);
            });
        }
    } catch (...) {
        give(LEAVE);
        throw;
    }
    give(WORK);
}

}  // namespace gradus
