// What etcd says wrongly, to all nodes of a simulated cluster or to one.
#include "runtime/text.h"
#include "tests/sim/faults.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

const std::string kNodes = "/sandstore/config/nodes/";
const std::string kClusterRecord = "/sandstore/config/cluster";
constexpr int64_t kHows = 6;

// By number: records cut off in the middle, the cluster record alone, a stranger, no records at all, the id of another
// cluster, all nodes but `node`.
SimEtcd::Records spoiled(SimEtcd::Records records, int64_t how, const std::string& node) {
    switch (how % kHows) {
        case 0:
            for (auto& [key, value] : records) value = value.substr(0, value.size() / 2);
            break;
        case 1:
            while (records.size() > 1) records.erase(std::prev(records.end()));
            break;
        case 2:
            records[kNodes + "node-9"] =
                R"({"id":"node-9","address":"node-9:8080","role":"metadata-raft-member","metadata":{"zone":"z"}})";
            break;
        case 3:
            records.clear();
            break;
        case 4:
            if (std::string& record = records[kClusterRecord]; record.find("\"sim\"") != std::string::npos) {
                record.replace(record.find("\"sim\""), 5, "\"another\"");
            }
            break;
        default:
            records.erase(kNodes + node);
    }
    return records;
}

}  // namespace

void Faults::apply_to_etcd(const SimEvent& event) {
    SimEtcd& etcd = cluster_.etcd();
    if (event.kind == SimEventKind::kEtcdDown) {
        etcd.is_up = false;
        return after(event.duration_us(), [this] { cluster_.etcd().is_up = true; });
    }
    if (event.kind == SimEventKind::kEtcdDiffers) {
        const std::string id = node(event.argument(0));
        const SimEtcd::Records lie = spoiled(etcd_records_, event.argument(1), id);
        told_otherwise_.insert(id);
        etcd.told[id] = lie;
        return after(event.duration_us(), [this, id, lie] {
            if (cluster_.etcd().told[id] == lie) cluster_.etcd().told.erase(id);  // Else there is another one by now.
        });
    }
    etcd_was_wrong_ = true;
    etcd.records =
        event.kind == SimEventKind::kEtcdEmpty ? SimEtcd::Records() : spoiled(etcd_records_, event.argument(0) % 3, "");
    after(event.duration_us(), [this] { cluster_.etcd().records = etcd_records_; });
}

}  // namespace sandstore
