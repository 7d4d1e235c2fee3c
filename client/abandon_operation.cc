// What is left of a write that failed, or that went to another place: the cluster is told, so that it collects the
// bytes at once. A cluster that cannot be told, or does not know how (an older one), finds them by their age.
#include <algorithm>

#include "client/operation.h"

namespace sandstore {

namespace {

class AbandonOperation final : public Operation {
 public:
    AbandonOperation(uint64_t id, uint64_t until_us, std::vector<pb::AbandonChunks::Chunk> chunks)
        : Operation(id, ReplyTo(), until_us), chunks_(std::move(chunks)) {}

    bool is_afterwork() const override { return true; }

    void start(Work& work) override {
        for (size_t done = 0; done < chunks_.size();) {
            pb::Mutation mutation;
            pb::AbandonChunks& abandon = *mutation.mutable_abandon_chunks();
            const size_t end = std::min<size_t>(chunks_.size(), done + kChunksAbandonedMax);
            for (; done < end; ++done) *abandon.add_chunks() = std::move(chunks_[done]);
            ++under_way_;
            work.mutations.begin(std::move(mutation), owner(kTag), until_us(), work.calls, work.context);
        }
    }

    // The calls of the operation before may still end.
    void on_call_ended(CallEnd end_of_call, Work&) override {
        if (end_of_call.owner.tag == kTag && --under_way_ == 0) end();
    }

 private:
    static constexpr uint64_t kTag = UINT64_MAX;

    std::vector<pb::AbandonChunks::Chunk> chunks_;
    size_t under_way_ = 0;
};

}  // namespace

std::unique_ptr<Operation> make_abandon_operation(uint64_t id, uint64_t until_us,
                                                  std::vector<pb::AbandonChunks::Chunk> chunks) {
    return std::make_unique<AbandonOperation>(id, until_us, std::move(chunks));
}

}  // namespace sandstore
