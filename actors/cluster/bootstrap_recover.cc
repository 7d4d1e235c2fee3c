// Bootstrap: a node that goes on without its majority, because "sandstore cluster recover" ran on its directory. The
// command has written into identity.json under which founding; Raft begins anew with this node alone when its log is
// recovered, and when that is committed it is noted here. Whenever the process dies, the next start goes on from there.
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/identity.h"
#include "actors/log/segment_format.h"
#include "runtime/text.h"

namespace sandstore {

void Bootstrap::warn_of_recovery(Context& context) const {
    if (identity_->recover_founding().empty()) return;
    context.warn(
        "The majority of the cluster is given up: this node goes on alone, as `sandstore cluster recover` says",
        {{"founding", identity_->recover_founding()}, {"before", identity_->founding()}});
}

void Bootstrap::refuse_without_log(Context& context) {
    refuse(
        str_cat("the log of this node is gone, and it was to go on alone with what that holds (cluster recover): bring "
                "back the directory ",
                kLogDirectory, ", or recover another node of the cluster"),
        context);
}

// True: it is being written that this was the committed configuration which began anew.
bool Bootstrap::note_recovery(const pb::RaftConfiguration& committed, Context& context) {
    if (identity_->recover_founding().empty() || committed.founding() != identity_->recover_founding()) return false;
    context.warn("This node has begun anew, alone: nodes of before come back only as new ones",
                 {{"founding", committed.founding()}});
    identity_->set_begun(true);
    identity_->set_founding(committed.founding());
    identity_->clear_recover_founding();
    *identity_->mutable_recovered() = committed.recovered();
    change_identity(context);
    return true;
}

}  // namespace sandstore
