// The words for what is in a trace. Bodies are decoded with the descriptions in the trace's own header, so that a trace
// of another version can be read as well.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <cstdint>
#include <optional>
#include <string>

#include "messages/trace.pb.h"

namespace sandstore {

class TraceText {
 public:
    static constexpr size_t kBodyCharactersMax = 400;

    explicit TraceText(const pb::TraceHeader& header);

    std::string type(const pb::Envelope& envelope);  // "append_entries"
    // "term: 3 index: 17", at most so many characters.
    std::string fields(const pb::Envelope& envelope, size_t characters_max = kBodyCharactersMax);
    std::string delivery(const pb::TraceDeliver& delivery);  // Without its number and time.
    std::string effect(const pb::TraceEffect& effect);

 private:
    const google::protobuf::Message* body(const pb::Envelope& envelope, std::string* name);
    std::string body_text(const pb::Envelope& envelope);

    google::protobuf::DescriptorPool pool_;
    google::protobuf::DynamicMessageFactory factory_;
    const google::protobuf::Message* prototype_ = nullptr;
    std::unique_ptr<google::protobuf::Message> decoded_;
};

}  // namespace sandstore
