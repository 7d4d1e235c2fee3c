// Writes the records of a new cluster into etcd: all of them in one transaction, or none. For the command line: it
// knows what to say to etcd, and its caller waits for the answers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/cluster/etcd_range.h"
#include "messages/common.pb.h"

namespace sandstore {

struct ClusterPlan {
    std::string cluster_id;      // Asked for. Empty: whatever is there already,
    std::string new_cluster_id;  // or else this.
    std::vector<pb::Member> members;
};

class MemberWriter {
 public:
    // The body of a POST to etcd's gateway at `path`, and its answer. Nothing: no endpoint answered (and that was
    // said).
    using Call = std::function<bool(const std::string& path, const std::string& body, std::string* answer)>;

    enum class Outcome { kWritten, kUnchanged, kConflict, kFailed };
    struct Result {
        Outcome outcome;
        std::string text;  // A sentence for the operator.
    };

    explicit MemberWriter(Call call) : call_(std::move(call)) {}
    Result write(const ClusterPlan& plan);

 private:
    struct Difference {
        std::vector<EtcdRecord> missing;  // To be written.
        std::vector<EtcdRecord> seen;     // There already, and as planned.
    };
    // Empty, or why what is there does not go with the plan.
    static std::string compare(const ClusterPlan& plan, const std::vector<EtcdRecord>& there, Difference* difference);
    Result attempt(const ClusterPlan& plan, bool* again);

    Call call_;
};

}  // namespace sandstore
