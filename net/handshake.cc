#include "net/handshake.h"

#include "net/message_policy.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

struct Refusal {
    pb::StatusCode code = pb::STATUS_OK;
    std::string why;
};

std::string software(const std::string& version) {
    return version.empty() ? "Sandstore of an unknown version" : str_cat("Sandstore ", version);
}

Refusal refuse_peer(const pb::Hello& hello, const LocalNames& names) {
    if (!is_valid_node_id(hello.node_id())) return {pb::STATUS_INVALID_ARGUMENT, "the hello has no valid node id"};
    if (hello.cluster_id() != names.cluster_id) {
        return {pb::STATUS_INVALID_ARGUMENT,
                str_cat("node ", names.node_id, " belongs to cluster ", names.cluster_id, ", and ", hello.node_id(),
                        " to cluster ", hello.cluster_id(), "; check the addresses and the data directories")};
    }
    if (!hello.founding().empty() && !names.founding.empty() && hello.founding() != names.founding) {
        return {pb::STATUS_INVALID_ARGUMENT,
                str_cat("node ", names.node_id, " and ", hello.node_id(), " belong to two clusters of the same name ",
                        names.cluster_id,
                        ", begun at different times, or parted by `sandstore cluster recover`: empty the data "
                        "directory of the one that shall come to the other and start it again, or see cluster recover "
                        "--help for how its file data is kept")};
    }
    if (hello.node_id() == names.node_id) {
        return {pb::STATUS_INVALID_ARGUMENT,
                str_cat("another process already runs as node ", names.node_id, "; give each node its own id")};
    }
    return {};
}

Refusal refusal(const pb::Hello& hello, const LocalNames& names) {
    if (hello.protocol_version() != kProtocolVersion) {
        return {pb::STATUS_INVALID_ARGUMENT,
                str_cat("this node (", software(names.software_version), ") speaks protocol version ", kProtocolVersion,
                        ", the caller (", software(hello.software_version()), ") version ", hello.protocol_version(),
                        "; all nodes and clients of a cluster must speak the same")};
    }
    switch (hello.kind()) {
        case pb::Hello::CLIENT:
        case pb::Hello::OPERATOR:
            return {};
        case pb::Hello::PROBE:
        case pb::Hello::PEER_CONTROL:
        case pb::Hello::PEER_BULK:
            if (!names.started()) return {pb::STATUS_UNAVAILABLE, "the node is still starting"};
            return hello.kind() == pb::Hello::PROBE ? Refusal{} : refuse_peer(hello, names);
        default:
            return {pb::STATUS_INVALID_ARGUMENT, "the hello is of an unknown kind"};
    }
}

}  // namespace

pb::Hello make_hello(pb::Hello::Kind kind, const LocalNames& names) {
    pb::Hello hello;
    hello.set_protocol_version(kProtocolVersion);
    hello.set_kind(kind);
    hello.set_software_version(names.software_version);
    if (kind == pb::Hello::CLIENT || kind == pb::Hello::OPERATOR) return hello;
    hello.set_cluster_id(names.cluster_id);
    hello.set_node_id(names.node_id);
    hello.set_instance_id(names.instance_id);
    hello.set_founding(names.founding);
    return hello;
}

std::string problem_with(const pb::HelloReply& reply) {
    if (reply.status().code() != pb::STATUS_OK) return str_cat("refused: ", reply.status().message());
    if (reply.protocol_version() == kProtocolVersion) return "";
    return str_cat("it (", software(reply.software_version()), ") speaks protocol version ", reply.protocol_version(),
                   ", this program version ", kProtocolVersion,
                   "; all nodes and clients of a cluster must speak the same");
}

pb::HelloReply answer_hello(const pb::Hello& hello, const LocalNames& names) {
    pb::HelloReply reply;
    const Refusal refused = refusal(hello, names);
    reply.mutable_status()->set_code(refused.code);
    reply.mutable_status()->set_message(refused.why);
    reply.set_protocol_version(kProtocolVersion);
    reply.set_cluster_id(names.cluster_id);
    reply.set_node_id(names.node_id);
    reply.set_instance_id(names.instance_id);
    reply.set_software_version(names.software_version);
    return reply;
}

}  // namespace sandstore
