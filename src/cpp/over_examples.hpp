// The one sum that gradients of layers without a product take.
#pragma once

#include "ending.hpp"
#include "vector.hpp"

namespace gradus::GRADUS_VARIANT {

// The sum over the examples of a batch of what is made of each, by its place in a panel: by sixteens,
// and then over these, so that it is the same for every number of threads.
template <class T, class F>
GRADUS_INLINE Vector<T> over_examples(int64_t count, int64_t stride, int64_t block, const F& of) {
    Vector<T> whole = {};
    for (int64_t from = 0, at = 0; from < count; from += stride, at += block) {
        const int64_t here = least(stride, count - from);
        for (int64_t example = 0; example < here; example += PANEL) {
            Vector<T> some = {};
            const int64_t end = least(example + PANEL, here);
            for (int64_t i = example; i < end; ++i) some += of(at + i * PANEL);
            whole += some;
        }
    }
    return whole;
}

}  // namespace gradus::GRADUS_VARIANT
