// The StateMachine with the smallest state that there can be: it needs nothing of a file system. What it does in detail
// is tested with a real one (tests/unit/fs/state_machine_test.cc).
#include "actors/state/state_machine.h"

#include <gtest/gtest.h>

#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

enum class NoteRecord : uint8_t { kHeader = 1, kNote = 2 };

// Remembers all commands.
class Notes final : public ReplicatedState {
 public:
    void configure(const pb::StartStateMachine&) override {}
    std::string apply(uint64_t index, std::string_view command_bytes, uint64_t) override {
        skip(index);
        if (command_bytes == "unknown") problem_ = "a command that is not known here";
        collected_ = {{1, index}};
        notes.emplace_back(command_bytes);
        return str_cat(command_bytes, " done");
    }
    void skip(uint64_t index) override {
        applied_index_ = index;
        work_ += kWorkOfCommand;
    }
    uint64_t answer(const pb::Query&, pb::QueryResult* result) const override {
        for (const std::string& note : notes) result->add_entries()->set_name(note);
        return kWorkOfCommand;
    }
    uint64_t work_due_us() const override { return 0; }
    uint64_t hash() const override { return notes.size(); }
    std::unique_ptr<StateWriter> freeze() const override;
    std::unique_ptr<StateRestorer> restorer(const pb::StartStateMachine&) const override;
    bool discard(size_t* nodes) override {
        for (; *nodes > 0 && !notes.empty(); --*nodes) notes.pop_back();
        return notes.empty();
    }

    void restore_index(uint64_t index) { applied_index_ = index; }

    std::vector<std::string> notes;
};

class NotesWriter final : public StateWriter {
 public:
    explicit NotesWriter(const Notes& notes) : notes_(notes) {}
    std::unique_ptr<ReplicatedState> take() override { return std::make_unique<Notes>(std::move(notes_)); }

 private:
    bool step() override {
        if (next_ == 0) {
            out_.kind(NoteRecord::kHeader);
            out_.number(notes_.applied_index());
        } else {
            out_.kind(NoteRecord::kNote);
            out_.text(notes_.notes[next_ - 1]);
        }
        return next_++ < notes_.notes.size();
    }

    Notes notes_;
    size_t next_ = 0;
};

class NotesRestorer final : public StateRestorer {
 public:
    std::unique_ptr<ReplicatedState> take() override { return std::make_unique<Notes>(std::move(notes_)); }

 private:
    Problem read_record(uint8_t kind, StateDecoder& in) override {
        if (kind == static_cast<uint8_t>(NoteRecord::kHeader)) {
            notes_.restore_index(in.number());
        } else if (kind == static_cast<uint8_t>(NoteRecord::kNote)) {
            notes_.notes.emplace_back(in.text(100));
        } else {
            return "No such record";
        }
        return {};
    }
    std::string check_whole(uint64_t index) override {
        return index == notes_.applied_index() ? "" : "It is of another entry";
    }

    Notes notes_;
};

std::unique_ptr<StateWriter> Notes::freeze() const {
    return std::make_unique<NotesWriter>(*this);
}

std::unique_ptr<StateRestorer> Notes::restorer(const pb::StartStateMachine&) const {
    return std::make_unique<NotesRestorer>();
}

class NotesTest : public testing::Test {
 protected:
    NotesTest() : kit_(std::make_unique<StateMachine>(std::make_unique<Notes>()), {pb::ACTOR_STATE_MACHINE}) {
        kit_.deliver(message_of(pb::StartStateMachine()), pb::ACTOR_BOOTSTRAP);
        kit_.take(pb::Envelope::kStateMachineReady);
    }

    void apply(const std::vector<std::string>& commands) {
        pb::Apply apply;
        apply.set_first_index(last_index_ + 1);
        apply.set_record_count(static_cast<uint32_t>(commands.size()));
        apply.set_want_results(true);
        std::string records;
        for (const std::string& command : commands) {
            append_record(&records, 1, ++last_index_, RecordType::kCommand, command);
        }
        kit_.deliver(message_of(apply, Payload(std::move(records))), pb::ACTOR_RAFT);
    }
    std::vector<std::string> notes() {
        const uint64_t id = kit_.request(message_of(pb::Query()), pb::ACTOR_FILES);
        const Message answer = kit_.take_answer(id);
        std::vector<std::string> notes;
        for (const pb::DirectoryEntry& entry : answer->query_result().entries()) notes.push_back(entry.name());
        return notes;
    }
    Payload snapshot() {
        kit_.take_answer(kit_.request(message_of(pb::TakeSnapshot()), pb::ACTOR_RAFT));
        pb::ReadState read;
        read.set_index(last_index_);
        const Message piece = kit_.take_answer(kit_.request(message_of(read), pb::ACTOR_SNAPSHOTS));
        EXPECT_TRUE(piece->state_piece().last());
        return piece.payload;
    }
    pb::SnapshotRestored restore(uint64_t index, const Payload& content) {
        pb::RestoreSnapshot restore;
        restore.mutable_meta()->set_index(index);
        const uint64_t id = kit_.request(message_of(restore), pb::ACTOR_RAFT);
        pb::SnapshotSection section;
        section.set_last(true);
        kit_.answer(kit_.take(pb::Envelope::kReadSection), message_of(section, content));
        return kit_.take_answer(id)->snapshot_restored();
    }

    StepKit kit_;
    uint64_t last_index_ = 0;
};

TEST_F(NotesTest, commands_are_applied_and_what_they_collect_is_told) {
    apply({"one", "two"});
    const pb::Applied applied = kit_.take(pb::Envelope::kApplied)->applied();
    ASSERT_EQ(applied.results_size(), 2);
    EXPECT_EQ(applied.results(1).result(), "two done");
    EXPECT_EQ(kit_.take(pb::Envelope::kChunksCollected)->chunks_collected().ids_size(), 2);
    EXPECT_EQ(notes(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(NotesTest, a_problem_of_the_state_stops_the_node) {
    apply({"one", "unknown", "two"});
    EXPECT_EQ(kit_.stopped(), "a command that is not known here");
    EXPECT_FALSE(kit_.has(pb::Envelope::kApplied));
}

TEST_F(NotesTest, a_restored_state_replaces_the_one_in_use_which_is_let_go) {
    apply({"one", "two"});
    const Payload content = snapshot();
    EXPECT_EQ(restore(2, content).status().code(), pb::STATUS_OK);
    EXPECT_EQ(notes(), (std::vector<std::string>{"one", "two"}));
    EXPECT_TRUE(kit_.has(pb::Envelope::kFlush));
    kit_.deliver(kit_.take(pb::Envelope::kFlush), pb::ACTOR_STATE_MACHINE);
    EXPECT_FALSE(kit_.has(pb::Envelope::kFlush)) << "nothing is left to be freed";
    EXPECT_EQ(notes(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(NotesTest, content_that_the_kind_of_state_refuses_is_not_restored) {
    apply({"one"});
    EXPECT_EQ(restore(5, Payload(std::string("\x09", 1))).status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(restore(5, Payload(std::string("\x01\x07", 2))).status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(restore(5, Payload(std::string("\x01\x05\x02", 3))).status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(restore(5, Payload(std::string("\x01\x05\x02\x01x", 5))).status().code(), pb::STATUS_OK);
    EXPECT_EQ(notes(), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace sandstore
