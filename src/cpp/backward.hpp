// The way back through the layers, and the update, as a member of a team goes them.
#pragma once

#include "work.hpp"

namespace gradus {

// The gradient at the inputs of a layer, all of a block.
template <class T>
void Network<T>::Work::Member::input_gradient(const Part& part, size_t l, int64_t block) {
    const Layer<T>& layer = n.layers_[l];
    const Kept& kept = n.kept_[l];
    for (const int64_t side : n.graph_.back(l)) {
        const int64_t inputs = n.shape_.width(side), first = block * work.stride_;
        const bool adds_up = n.graph_.adds_up(l, side);
        T* sums = adds_up ? at(n.kept_[size_t(side - 1)].delta, inputs, block).by_example
                          : kept.gradient + inputs * first;
        const Share all(panels(inputs), 0, 1);
        if (layer.kind == Kind::DENSE) {
            sum(part, l, block, all, {groups(layer.outputs), 0, 1}, sums, 0);
        } else if (layer.kind == Kind::SUM) {
            sums = at(kept.delta, layer.outputs, block).by_example;
        } else {
            back(part, l, block, {shared(part, l, block), 0, 1}, sums);
        }
        if (adds_up) hand_on(part, l, side, block, all, sums, 1, 0);
    }
}

// The same for all blocks, shared: every member sums over outputs whose weights it moves,
// so that they stay in its cache; or, where there are fewer groups of them than members,
// over all, for some of the inputs. The sums are the same.
template <class T>
void Network<T>::Work::Member::input_gradient(const Part& part, size_t l) {
    const Layer<T>& layer = n.layers_[l];
    const bool is_dense = layer.kind == Kind::DENSE;
    for (const int64_t side : n.graph_.back(l)) {
        const int64_t inputs = n.shape_.width(side);
        const int64_t number = is_dense ? groups(layer.outputs) : 1, apart = inputs * n.learning_;
        const Share mine = share(panels(inputs));
        const bool by_group = number >= work.members_;
        const Share all(panels(inputs), 0, 1), every_group(number, 0, 1);
        for (int64_t b = 0; b < blocks(part); ++b) {
            T* const sums = n.sums_ + inputs * b * work.stride_;
            if (is_dense) {
                sum(part, l, b, by_group ? all : mine, by_group ? share(number) : every_group, sums,
                    apart);
            } else if (layer.kind != Kind::SUM) {
                back(part, l, b, share(shared(part, l, b)), sums);
            }
        }
        clock(&Timings::input_gradient);
        meet();
        if (work.stopped_) return;
        for (int64_t b = 0; b < blocks(part); ++b) {
            const T* sums = n.sums_ + inputs * b * work.stride_;
            if (layer.kind == Kind::SUM) {
                sums = at(n.kept_[l].delta, layer.outputs, b).by_example;
                if (!n.graph_.adds_up(l, side)) continue;
            }
            hand_on(part, l, side, b, mine, sums, number, apart);
        }
        clock(&Timings::input_gradient);
        meet();
    }
}

template <class T>
void Network<T>::Work::Member::sum(const Part& part, size_t l, int64_t block, Share inputs,
                                   Share summed, T* sums, int64_t apart) {
    const Layer<T>& layer = n.layers_[l];
    work.products_.input_gradient(layer, at(n.kept_[l].delta, layer.outputs, block),
                                  rows(part, block), inputs.first, inputs.last, summed.first,
                                  summed.last, sums, apart);
}

// Of a layer without a product.
template <class T>
void Network<T>::Work::Member::back(const Part& part, size_t l, int64_t block, Share mine, T* sums) {
    const Layer<T>& layer = n.layers_[l];
    const Kept& kept = n.kept_[l];
    const int64_t first = block * work.stride_, count = rows(part, block), stride = work.stride_;
    const Side<T> delta = at(kept.delta, layer.outputs, block);
    switch (layer.kind) {
        case Kind::DROP:
            n.kernels_.drop_gradient(layer, delta, kept.scales + layer.outputs * first, count,
                                     mine.first, mine.last, sums);
            return;
        case Kind::PRELU: {
            const Side<T> in = at(n.sides_[size_t(n.shape_.layers[l].reads)], layer.outputs, block);
            n.kernels_.prelu_gradient(layer, delta, in, count, mine.first, mine.last, sums);
            return;
        }
        case Kind::LAYER_NORM: {
            const int64_t from = mine.first * PANEL, to = std::min(mine.last * PANEL, count);
            if (from >= to) return;
            const int64_t numbers = from * layer.outputs;
            Normal<T> normal{at(kept.normal.values, layer.outputs, block),
                             kept.normal.inverse + first + from};
            normal.values.by_example += numbers;
            n.kernels_.layer_norm_gradient(layer, {nullptr, delta.by_example + numbers, delta.rows},
                                           normal, to - from, sums + numbers);
            return;
        }
        case Kind::BATCH_NORM:
            if (block > 0) return;  // it was of all blocks
            n.kernels_.batch_norm_gradient(layer, kept.delta, kept.normal, part.rows, stride,
                                           mine.first, mine.last, sums);
            return;
        default: return;
    }
}

// To the layer that made what this one reads: with what others give it, times the slope of its
// activation; or it is kept until the last of them adds it up.
template <class T>
void Network<T>::Work::Member::hand_on(const Part& part, size_t l, int64_t side, int64_t block,
                                       Share panels, const T* sums, int64_t number, int64_t apart) {
    const size_t maker = size_t(side - 1);
    const int64_t features = n.shape_.width(side), first = features * block * work.stride_;
    if (!n.graph_.adds_up(l, side)) {
        n.kernels_.slope(features, sums, number, apart, {}, rows(part, block), work.stride_, {},
                         nullptr, 0, panels.first, panels.last,
                         {nullptr, n.kept_[l].gradient + first, features});
        return;
    }
    const Kept& kept = n.kept_[maker];
    const Bend from = bend(maker, at(n.sides_[size_t(side)], features, block), block);
    const Others<T> others{kept.others.data(), int64_t(kept.others.size()), first};
    n.kernels_.slope(features, sums, number, apart, others, rows(part, block), work.stride_,
                     n.layers_[maker].activation, from.at, from.rows, panels.first, panels.last,
                     at(kept.delta, features, block));
}

template <class T>
void Network<T>::Work::Member::update(const Part& part, size_t l, const Step<T>& numbers) {
    const Layer<T>& layer = n.layers_[l];
    if (!layer.moves()) return;
    const Kept& kept = n.kept_[l];
    const Share mine = share(panels(layer.sets));
    const Side<T>& in = n.sides_[size_t(n.shape_.layers[l].reads)];
    const bool finished = part.last && !n.clip_.clips();
    if (layer.kind != Kind::DENSE) {
        if (layer.kind != Kind::PRELU) {
            n.kernels_.norm_update(layer, kept.normal, kept.delta.by_feature, part.rows,
                                   work.stride_, mine.first, mine.last, !part.first);
        } else if (mine.first < mine.last) {
            const int64_t last = layer.shares() ? panels(layer.outputs) : mine.last;
            n.kernels_.prelu_update(layer, in, kept.delta.by_feature, part.rows, work.stride_,
                                    mine.first, last, !part.first);
        }
        if (finished) move(l, {}, layer.gradient, 0, mine, true, true, numbers);
    } else {
        move(l, in, kept.delta.by_feature, part.rows, mine,
             !part.first, finished, numbers);
    }
    clock(&Timings::update);
}

// A layer by its gradient, which is what has begun and what so many examples add to it.
template <class T>
void Network<T>::Work::Member::move(size_t l, const Side<T>& in, const T* delta, int64_t count,
                                    Share mine, bool begun, bool finished, const Step<T>& numbers) {
    const Layer<T>& layer = n.layers_[l];
    const int64_t rows = layer.rows();
    const auto move = [&](int64_t first, int64_t last) {
        work.products_.update(layer, in, delta, count, work.stride_, first, last, begun, finished,
                              n.method_.rule, regularization(n.method_, n.penalty_), numbers);
    };
    if (layer.kind == Kind::DENSE && layer.moves_all()) {
        const Share all = share(panels(layer.outputs) * rows, PANEL);
        move(all.first, all.last);
        return;
    }
    for (int64_t panel = mine.first; panel < mine.last; ++panel) {
        move(panel * rows + layer.moves_from, panel * rows + layer.moves_to);
    }
}

}  // namespace gradus
