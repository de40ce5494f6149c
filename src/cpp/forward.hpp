// The way of a batch through the layers, as a member of a team goes it.
#pragma once

#include "work.hpp"

namespace gradus {

template <class T>
const T* Network<T>::Work::Member::weights(const Layer<T>& layer, Purpose purpose) const {
    const bool elsewhere =
        purpose == Purpose::LOOK || (purpose == Purpose::GIVE && n.method_.rule == Rule::NESTEROV);
    return elsewhere ? layer.state[0] : layer.weights;
}

// What members share of a layer at a block: panels of its outputs, or of the examples where those
// of an example belong together.
template <class T>
int64_t Network<T>::Work::Member::shared(const Part& part, size_t l, int64_t block) const {
    const Layer<T>& layer = n.layers_[l];
    return panels(layer.kind == Kind::LAYER_NORM ? rows(part, block) : layer.outputs);
}

template <class T>
void Network<T>::Work::Member::forward(const Part& part, size_t l, int64_t block, Share mine,
                                       Purpose purpose) {
    const Layer<T>& layer = n.layers_[l];
    const Given& given = n.shape_.layers[l];
    const Kept& kept = n.kept_[l];
    const int64_t first = block * work.stride_, count = rows(part, block), stride = work.stride_;
    const int64_t inputs = n.shape_.width(given.reads);
    const Side<T> in = at(n.sides_[size_t(given.reads)], inputs, block);
    Side<T> out = at(n.sides_[l + 1], layer.outputs, block);
    if (by_feature_alone(purpose)) out.by_example = nullptr;
    const bool bends = kept.before && purpose == Purpose::LEARN;
    T* const before = bends ? kept.before + layer.outputs * first : nullptr;
    const T* const w = weights(layer, purpose);
    const bool drops = layer.kind == Kind::DROP && purpose != Purpose::GIVE;
    switch (layer.kind) {
        case Kind::DENSE:
            (purpose == Purpose::LOOK ? n.kernels_ : work.products_)
                .forward(layer, w, in, count, stride, mine.first, mine.last, out, before);
            return;
        case Kind::SUM:
        case Kind::DROP:
            if (drops) {
                const Draw draw{n.key_, uint32_t(n.step_ + step), kept.number, given.share};
                n.kernels_.drop(layer, draw, part.from + first, in, count, stride, mine.first,
                                mine.last, out, kept.scales + layer.outputs * first, before);
            } else {
                Side<T> also{};
                if (given.also >= 0) also = at(n.sides_[size_t(given.also)], inputs, block);
                n.kernels_.sum(layer, in, given.also >= 0 ? &also : nullptr, count, stride,
                               mine.first, mine.last, out, before);
            }
            return;
        case Kind::PRELU:
            n.kernels_.prelu(layer, w, in, count, stride, mine.first, mine.last, out, before);
            return;
        case Kind::LAYER_NORM: {
            const int64_t from = mine.first * PANEL, to = std::min(mine.last * PANEL, count);
            if (from >= to) return;
            const auto part_of = [from](const Side<T>& side) {
                return Side<T>{side.by_feature + from * PANEL, side.by_example + from * side.rows,
                               side.rows};
            };
            const Normal<T> normal{part_of(at(kept.normal.values, layer.outputs, block)),
                                   kept.normal.inverse + first + from};
            n.kernels_.layer_norm(layer, w, given.eps, part_of(in), to - from, stride, part_of(out),
                                  normal, before ? before + from * layer.outputs : nullptr);
            return;
        }
        case Kind::BATCH_NORM:
            if (purpose == Purpose::GIVE) {
                n.kernels_.standardize(layer, w, given.eps, kept.running, in, count, stride,
                                       mine.first, mine.last, out);
            } else if (block == 0) {
                batch_norm(part, l, mine, purpose);  // of all blocks
            }
            return;
    }
}

template <class T>
void Network<T>::Work::Member::batch_norm(const Part& part, size_t l, Share mine, Purpose purpose) {
    const Layer<T>& layer = n.layers_[l];
    const Given& given = n.shape_.layers[l];
    const Kept& kept = n.kept_[l];
    Running<T> running = kept.running;
    running.fresh = given.fresh < 0 ? 1 / double(kept.batches + 1) : given.fresh;
    n.kernels_.batch_norm(layer, weights(layer, purpose), given.eps,
                          n.sides_[size_t(given.reads)], part.rows, work.stride_, mine.first,
                          mine.last, n.sides_[l + 1], kept.normal,
                          purpose == Purpose::LEARN ? &running : nullptr, kept.before);
}

// All of a block, through all layers.
template <class T>
void Network<T>::Work::Member::forward(const Part& part, int64_t block, Purpose purpose) {
    load(part, block, {panels(n.shape_.inputs), 0, 1}, purpose);
    clock(&Timings::load);
    for (size_t l = 0; l < layers(); ++l) {
        forward(part, l, block, {shared(part, l, block), 0, 1}, purpose);
    }
    clock(&Timings::forward);
}

// This member's share of a layer, at all blocks.
template <class T>
void Network<T>::Work::Member::forward(const Part& part, size_t l, Purpose purpose) {
    for (int64_t b = 0; b < blocks(part); ++b) {
        forward(part, l, b, share(shared(part, l, b)), purpose);
    }
}

}  // namespace gradus
