// The steps of one call of a network, as every member of a team goes through them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "mass.hpp"
#include "network.hpp"
#include "subnormals.hpp"
#include "team.hpp"

namespace gradus {

constexpr int64_t BLOCK = 64;  // examples: what they need of memory stays in the second cache

constexpr int64_t AHEAD = 8;   // examples, at least, that lie between asking for one and its step
constexpr int64_t LINE = 64;   // bytes
constexpr int64_t FETCHED = 512;

inline double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

template <class T>
class Network<T>::Work {
public:
    // Examples come in segments of what is in memory at once, and in blocks of `stride`.
    Work(Network& network, const Kernels<T>& products, const Examples<T>& examples,
         const Batches& batches, int members, int64_t segment, int64_t stride)
        : n_(network), products_(products), examples_(examples), batches_(batches), members_(members),
          segment_(segment), stride_(stride), barrier_(members),
          terms_(size_t(std::min(batches.size, batches.examples))), waited_(size_t(members)) {}

    int64_t take_steps() {
        together(members_, [this](int member) { Member{*this, member}.go(); });
        n_.timings_.longest_wait += *std::max_element(waited_.begin(), waited_.end());
        return taken_;
    }

    // What leaves the last layer, for all examples.
    void outputs(T* to) {
        together(members_, [this, to](int member) { Member{*this, member}.give(to); });
    }

private:
    using Clock = double Timings::*;

    // What forward is for: a step; the loss at the iterate, which changes nothing; or the outputs,
    // of a network that does not learn.
    enum class Purpose { LEARN, LOOK, GIVE };

    // A batch, and the part of it that is in memory.
    struct Part {
        int64_t begin, count;  // of the batch, in the order
        int64_t from, rows;    // of the part, in the batch
        bool first, last;
    };

    struct Member {
        Work& work;
        const int member;
        Network& n = work.n_;
        double since = 0, waited = 0;
        double mass = 0;  // of the losses of a batch
        int64_t step = 0;

        Share share(int64_t whole, int64_t unit = 1) const {
            return Share(whole, member, work.members_, unit);
        }

        void meet() {
            if (!n.is_timed_) return work.barrier_.wait();
            const double at = now();
            work.barrier_.wait();
            waited += now() - at;
            clock(&Timings::wait);
        }

        // What has passed was of this kind; the first member tells.
        void clock(Clock kind) {
            if (member != 0 || !n.is_timed_) return;
            const double at = now();
            n.timings_.*kind += at - since;
            since = at;
        }

        size_t layers() const { return n.layers_.size(); }
        int64_t blocks(const Part& part) const { return (part.rows + work.stride_ - 1) / work.stride_; }
        int64_t rows(const Part& part, int64_t block) const {
            return std::min(work.stride_, part.rows - block * work.stride_);
        }

        // A side at a block.
        Side<T> at(const Side<T>& side, int64_t features, int64_t block) const {
            const int64_t examples = block * work.stride_;
            return {side.by_feature + panels(features) * PANEL * examples,
                    side.by_example + side.rows * examples, side.rows};
        }

        void go() {
            const SubnormalsAreZero subnormals(n.flushes_);
            since = now();
            take_steps();
            work.waited_[size_t(member)] = waited;
        }

        void take_steps() {
            const Batches& batches = work.batches_;
            for (step = 0; step < batches.steps(); ++step) {
                const int64_t begin = step * batches.size;
                const int64_t count = std::min(batches.size, batches.examples - begin);
                mass = work.mass(begin, count);
                if (member == 0) work.fetch(begin + std::max(count, AHEAD), count);
                if (batches.wanted && batches.wanted[step]) {
                    each_part(begin, count, [&](const Part& part) { look(part); });
                    if (member == 0) batches.losses_at_iterate[step] = work.mean(count, mass);
                    meet();
                }
                const double length = n.penalty_.norm > 0 && !n.penalty_.proximal ? norm(false) : 0;
                const Step<T> numbers =
                    gradus::numbers<T>(n.method_, n.penalty_, batches.rates[step],
                                       batches.aheads ? batches.aheads[step] : 0,
                                       n.step_ + step, length);
                each_part(begin, count, [&](const Part& part) { learn(part, numbers); });
                if (work.stopped_) return;
                if (n.clip_.clips()) move_clipped(numbers);
                if (n.penalty_.norm > 0 && n.penalty_.proximal) {
                    shorten(batches.rates[step] * n.penalty_.norm, numbers.ahead);
                }
                if (member == 0) work.taken_ = step + 1;
            }
        }

        void give(T* to) {
            const SubnormalsAreZero subnormals(n.flushes_);
            since = now();
            const int64_t outputs = n.shape_.outputs(), count = work.batches_.examples;
            each_part(0, count, [&](const Part& part) {
                for (int64_t b = member; b < blocks(part); b += work.members_) {
                    forward(part, b, Purpose::GIVE);
                    const Side<T> out = at(n.sides_.back(), outputs, b);
                    T* const row = to + (part.from + b * work.stride_) * outputs;
                    for (int64_t begin = 0; begin < outputs; begin += PANEL) {
                        const T* from = out.by_feature + begin * work.stride_;
                        const int64_t columns = std::min<int64_t>(PANEL, outputs - begin);
                        for (int64_t example = 0; example < rows(part, b); ++example) {
                            std::copy_n(from + example * PANEL, columns,
                                        row + example * outputs + begin);
                        }
                    }
                }
            });
        }

        template <class Do>
        void each_part(int64_t begin, int64_t count, const Do& act) {
            for (int64_t from = 0; from < count && !work.stopped_; from += work.segment_) {
                const int64_t rows = std::min(work.segment_, count - from);
                act(Part{begin, count, from, rows, from == 0, from + rows == count});
            }
        }

        // Blocks go to members whole where there are enough of them: then nobody waits between the
        // layers. Otherwise members share every layer.
        bool by_block(const Part& part) const {
            return blocks(part) >= work.members_ && !n.is_whole_;
        }

        // Without a gradient nothing reads by example what dense layers leave.
        bool by_feature_alone(Purpose purpose) const {
            return purpose == Purpose::GIVE && n.is_dense_;
        }

        void load(const Part& part, int64_t block, Share panels, Purpose purpose) {
            const int64_t* order =
                work.batches_.order + part.begin + part.from + block * work.stride_;
            const int64_t count = rows(part, block), inputs = n.shape_.inputs;
            Side<T> to = at(n.sides_[0], inputs, block);
            if (by_feature_alone(purpose)) to.by_example = nullptr;
            n.kernels_.gather(work.examples_.source, order, count, work.stride_, panels.first,
                              panels.last, to);
        }

        // forward.hpp
        const T* weights(const Layer<T>& layer, Purpose purpose) const;
        int64_t shared(const Part& part, size_t l, int64_t block) const;
        void forward(const Part& part, size_t l, int64_t block, Share mine, Purpose purpose);
        void batch_norm(const Part& part, size_t l, Share mine, Purpose purpose);
        void forward(const Part& part, int64_t block, Purpose purpose);
        void forward(const Part& part, size_t l, Purpose purpose);

        void loss(const Part& part, int64_t block, bool with_gradient) {
            const int64_t outputs = n.shape_.outputs(), count = rows(part, block);
            const int64_t first = part.from + block * work.stride_;
            const int64_t* order = work.batches_.order + part.begin + first;
            T* numbers = nullptr;
            int64_t classes[BLOCK];
            if (work.examples_.numbers) {
                numbers = n.numbers_ + outputs * block * work.stride_;
                n.kernels_.gather_targets(work.examples_.numbers, outputs, order, count, numbers);
            } else {
                for (int64_t i = 0; i < count; ++i) classes[i] = work.examples_.classes[order[i]];
            }
            const T* counted = work.examples_.weights;
            T counts[BLOCK];
            for (int64_t i = 0; counted && i < count; ++i) counts[i] = counted[order[i]];
            const Targets targets{n.risk_.loss, n.shape_.log_softmax, outputs, n.risk_.ignored,
                                  n.risk_.smoothing, n.risk_.shape, mass == 0 ? 0 : 1 / mass};
            const Side<T> delta = at(n.kept_.back().delta, outputs, block);
            const T* weights = n.risk_.class_weights.empty() ? nullptr : n.risk_.class_weights.data();
            const Side<T> out = at(n.sides_.back(), outputs, block);
            const Bend from = bend(layers() - 1, out, block);
            n.kernels_.loss(targets, out, classes, numbers, weights, counted ? counts : nullptr,
                            count, work.stride_,
                            n.layers_.back().activation, from.at, from.rows,
                            with_gradient ? &delta : nullptr, work.terms_.data() + first);
        }

        // What the slope of a layer's activation is made of, by example.
        struct Bend {
            const T* at;
            int64_t rows;
        };

        Bend bend(size_t l, const Side<T>& out, int64_t block) const {
            const int64_t outputs = n.layers_[l].outputs;
            if (!n.kept_[l].before) return {out.by_example, out.rows};
            return {n.kept_[l].before + outputs * block * work.stride_, outputs};
        }

        // backward.hpp
        void input_gradient(const Part& part, size_t l, int64_t block);
        void input_gradient(const Part& part, size_t l);
        void sum(const Part& part, size_t l, int64_t block, Share inputs, Share summed, T* sums,
                 int64_t apart);
        void back(const Part& part, size_t l, int64_t block, Share mine, T* sums);
        void hand_on(const Part& part, size_t l, int64_t side, int64_t block, Share panels,
                     const T* sums, int64_t number, int64_t apart);
        void update(const Part& part, size_t l, const Step<T>& numbers);
        void move(size_t l, const Side<T>& in, const T* delta, int64_t count, Share mine, bool begun,
                  bool finished, const Step<T>& numbers);

        // Forward through all layers and the loss, of all blocks of a part.
        void evaluate(const Part& part, Purpose purpose) {
            if (by_block(part)) {
                for (int64_t b = member; b < blocks(part); b += work.members_) {
                    forward(part, b, purpose);
                    loss(part, b, purpose == Purpose::LEARN);
                    clock(&Timings::loss);
                }
                return;
            }
            for (int64_t b = 0; b < blocks(part); ++b) load(part, b, share(panels(n.shape_.inputs)), purpose);
            clock(&Timings::load);
            meet();
            for (size_t l = 0; l < layers(); ++l) {
                forward(part, l, purpose);
                clock(&Timings::forward);
                meet();
            }
            for (int64_t b = member; b < blocks(part); b += work.members_) {
                loss(part, b, purpose == Purpose::LEARN);
            }
            clock(&Timings::loss);
        }

        // The losses of a part at the iterate.
        void look(const Part& part) {
            evaluate(part, Purpose::LOOK);
            meet();
        }

        // Look whether the batch has a finite loss, once all of it is known.
        void judge(const Part& part) {
            if (member != 0 || !part.last) return;
            const double mean = work.mean(part.count, mass);
            work.batches_.losses[step] = mean;
            work.stopped_ = !std::isfinite(mean);
            for (Kept& kept : n.kept_) ++kept.batches;
        }

        // Gradients over a part, and the update once the last part of the batch is through.
        void learn(const Part& part, const Step<T>& numbers) {
            evaluate(part, Purpose::LEARN);
            if (by_block(part)) {
                for (int64_t b = member; b < blocks(part); b += work.members_) {
                    for (size_t l = layers(); l-- > 0;) input_gradient(part, l, b);
                }
                clock(&Timings::input_gradient);
                meet();
                judge(part);
                if (part.last) meet();
                if (work.stopped_) return;
                for (size_t l = 0; l < layers(); ++l) update(part, l, numbers);
                meet();
                return;
            }
            meet();
            judge(part);
            // Every way back begins at the last layer.
            if (n.graph_.back(layers() - 1).empty() && part.last) meet();
            for (size_t l = layers(); l-- > 0;) {
                input_gradient(part, l);
                if (work.stopped_) return;
                update(part, l, numbers);
            }
            meet();
        }

        // The panels of weights that are this member's, of all layers one after another.
        template <class Do>
        void each_panel(const Do& act) {
            const Share mine = share(int64_t(n.squares_.size()));
            int64_t index = 0;
            for (const Layer<T>& layer : n.layers_) {
                for (int64_t p = 0; p < panels(layer.sets); ++p, ++index) {
                    if (index >= mine.first && index < mine.last) act(layer, p, n.squares_[size_t(index)]);
                }
            }
        }

        // What the squares of all panels are of: the same for every number of threads, since panels
        // are summed by themselves and then in order.
        double length() {
            meet();
            double sum = 0;
            for (double square : n.squares_) sum += square;
            clock(&Timings::update);
            return std::sqrt(sum);
        }

        static int64_t columns(const Layer<T>& layer, int64_t panel) {
            return std::min<int64_t>(PANEL, layer.sets - panel * PANEL);
        }

        // |w|, of the parameters or of the iterate that a method remembers.
        double norm(bool of_iterate) {
            each_panel([&](const Layer<T>& layer, int64_t panel, double& square) {
                const T* from = of_iterate ? layer.state[0] : layer.weights;
                double sums[PANEL] = {};
                for (int64_t row = layer.moves_from; row < layer.moves_to; ++row) {
                    const T* w = from + (panel * layer.rows() + row) * PANEL;
                    for (int i = 0; i < PANEL; ++i) sums[i] += double(w[i]) * double(w[i]);
                }
                square = 0;
                for (int i = 0; i < columns(layer, panel); ++i) square += sums[i];
            });
            return length();
        }

        // The update by a gradient that is all there, shortened.
        void move_clipped(Step<T> numbers) {
            each_panel([&](const Layer<T>& layer, int64_t panel, double& square) {
                const int64_t at = (panel * layer.rows() + layer.moves_from) * PANEL;
                square = n.kernels_.limit(layer.moves_to - layer.moves_from, columns(layer, panel),
                                          numbers, T(n.clip_.value), layer.weights + at,
                                          layer.gradient + at);
            });
            const T factor = T(n.clip_.factor(length()));
            numbers.slope = numbers.kink = 0;  // they are in the gradient
            each_panel([&](const Layer<T>& layer, int64_t panel, double&) {
                const int64_t first = panel * layer.rows() + layer.moves_from;
                const int64_t last = panel * layer.rows() + layer.moves_to;
                if (factor != 1) {
                    for (int64_t i = first * PANEL; i < last * PANEL; ++i) layer.gradient[i] *= factor;
                }
                n.kernels_.update(layer, n.sides_[0], layer.gradient, 0, 0, first, last, true, true,
                                  n.method_.rule, regularization(n.method_, n.penalty_), numbers);
            });
            clock(&Timings::update);
            meet();
        }

        // The proximal step of the norm: all of w shorter by `by`.
        void shorten(double by, T ahead) {
            const bool queries = n.method_.rule == Rule::NESTEROV;
            const double length = norm(queries);
            const T factor = T(length > by ? 1 - by / length : 0);
            for (Layer<T>& layer : n.layers_) {
                const Share mine = share(layer.size(), PANEL);
                T* w = layer.weights;
                for (int64_t i = mine.first; i < mine.last; ++i) {
                    const int64_t row = i / PANEL % layer.rows();
                    if (row < layer.moves_from || row >= layer.moves_to) continue;
                    if (!queries) {
                        w[i] *= factor;
                        continue;
                    }
                    T* after = layer.state[0];
                    T* previous = layer.state[1];
                    after[i] *= factor;
                    w[i] = after[i] + ahead * (after[i] - previous[i]);
                    previous[i] = after[i];
                }
            }
            meet();
        }
    };

    // Ask the memory for examples that steps to come will load: in the order they lie anywhere, and
    // the processor cannot guess where. Of long rows the beginning is enough for it.
    void fetch(int64_t begin, int64_t count) const {
        const Source& source = examples_.source;
        const int64_t bytes = source.features * (source.bytes ? 1 : int64_t(sizeof(T)));
        const int64_t end = std::min(begin + count, batches_.examples);
        for (int64_t i = begin; i < end; ++i) {
            const int64_t example = batches_.order[i];
            const char* const row = static_cast<const char*>(source.x) + example * bytes;
            const int64_t first = std::min(bytes, FETCHED);
            for (int64_t at = 0; at < first; at += LINE) __builtin_prefetch(row + at);
            __builtin_prefetch(row + first - 1);
            if (examples_.classes) __builtin_prefetch(examples_.classes + example);
        }
        asm volatile("");  // without which GCC 12 takes it for a function that does nothing
    }

    // What the losses of a batch are divided by.
    double mass(int64_t begin, int64_t count) const {
        return mass_of(n_.risk_, n_.shape_.outputs(), examples_.classes, examples_.weights,
                       examples_.weight, batches_.order + begin, count);
    }

    double mean(int64_t count, double divisor) const {
        double sum = 0;
        for (int64_t i = 0; i < count; ++i) sum += terms_[size_t(i)];
        return divisor == 0 ? 0 : sum / divisor;
    }

    Network& n_;
    const Kernels<T>& products_;
    const Examples<T>& examples_;
    const Batches& batches_;
    const int members_;
    const int64_t segment_, stride_;
    Barrier barrier_;
    std::vector<double> terms_;  // the loss of every example of the batch
    std::vector<double> waited_;  // seconds, by member
    int64_t taken_ = 0;
    bool stopped_ = false;  // written before a meeting, read after it
};

}  // namespace gradus
