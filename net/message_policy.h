// Who may send what over the network: the one place that says so.
#pragma once

#include <string>

#include "messages/envelope.pb.h"

namespace sandstore {

// Raft's own traffic travels on a connection of its own, so that bulk never delays a heartbeat.
bool is_control_message(const pb::Envelope& envelope);

// Whether a message that came in over a connection may be delivered. Empty: yes; else a sentence saying why not.
std::string refuse_from_client(const pb::Envelope& envelope);
std::string refuse_from_peer(const pb::Envelope& envelope);
std::string refuse_from_server(const pb::Envelope& envelope);  // What a client accepts.

// Names that become addresses inside a node: letters, digits, '.', '_', '-'; 1..255 of them.
bool is_valid_node_id(std::string_view id);

}  // namespace sandstore
