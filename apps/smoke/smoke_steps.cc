#include "apps/smoke/smoke_steps.h"

#include <algorithm>

#include "apps/common/remove_tree.h"
#include "messages/envelope.pb.h"
#include "runtime/text.h"

// Leaves the step with the mismatch, if there is one.
#define SMOKE_EXPECT(check) \
    if (StepOutcome outcome = (check)) return outcome

namespace sandstore {

namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kGiB = 1ull << 30;
constexpr uint64_t kLargeBytes = 5 * kMiB + 1;

// --- Expectations --------------------------------------------------------------------------------------------------

std::string told(const ClientStatus& status) {
    return status.message.empty() ? code_name_of(status.code)
                                  : str_cat(code_name_of(status.code), " (", status.message, ")");
}

StepOutcome expect_ok(std::string_view what, const ClientStatus& status) {
    if (status.ok()) return std::nullopt;
    return Mismatch{str_cat(what, " to succeed"), told(status)};
}

template <typename Value>
StepOutcome expect_ok(std::string_view what, const Result<Value>& result) {
    return expect_ok(what, result.status());
}

StepOutcome expect_code(std::string_view what, pb::StatusCode code, const ClientStatus& status) {
    if (status.code == code) return std::nullopt;
    return Mismatch{str_cat(what, " to give ", code_name_of(code)), told(status)};
}

template <typename Value>
StepOutcome expect_code(std::string_view what, pb::StatusCode code, const Result<Value>& result) {
    return expect_code(what, code, result.status());
}

StepOutcome expect_equal(std::string_view what, uint64_t expected, uint64_t saw) {
    if (expected == saw) return std::nullopt;
    return Mismatch{str_cat(what, " ", expected), std::to_string(saw)};
}

StepOutcome expect_bytes(std::string_view what, std::string_view expected, std::string_view saw) {
    if (expected == saw) return std::nullopt;
    if (expected.size() != saw.size()) {
        return Mismatch{str_cat(what, " of ", expected.size(), " bytes"), str_cat(saw.size(), " bytes")};
    }
    const size_t at =
        static_cast<size_t>(std::mismatch(expected.begin(), expected.end(), saw.begin()).first - expected.begin());
    return Mismatch{
        str_cat(what, " with byte ", at, " being ", static_cast<int>(static_cast<unsigned char>(expected[at]))),
        std::to_string(static_cast<int>(static_cast<unsigned char>(saw[at])))};
}

// --- Files ---------------------------------------------------------------------------------------------------------

// Bytes that differ from place to place, so that a piece in the wrong place shows.
std::string test_bytes(size_t length, uint64_t seed) {
    std::string bytes(length, '\0');
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>((i + seed) * 2654435761u >> 13);
    return bytes;
}

Result<std::string> read_whole(Client& client, const std::string& path) {
    std::string content;
    const Result<pb::Attributes> read = client.read_file(path, [&content](const Payload& bytes) {
        content += bytes.to_string();
        return static_cast<int64_t>(bytes.size());
    });
    if (!read.ok()) return read.status();
    return content;
}

StepOutcome put(Client& client, const std::string& path, std::string_view content) {
    const Result<pb::Attributes> written =
        client.write_file(path, [content](char* buffer, size_t size) mutable -> int64_t {
            const size_t count = std::min(size, content.size());
            std::copy_n(content.data(), count, buffer);
            content.remove_prefix(count);
            return static_cast<int64_t>(count);
        });
    return expect_ok(str_cat("writing ", content.size(), " bytes to ", path), written);
}

StepOutcome expect_content(Client& client, const std::string& path, std::string_view content) {
    const Result<std::string> read = read_whole(client, path);
    SMOKE_EXPECT(expect_ok(str_cat("reading ", path), read));
    SMOKE_EXPECT(expect_bytes(str_cat("the content of ", path), content, *read));
    const Result<pb::Attributes> attributes = client.stat(path);
    SMOKE_EXPECT(expect_ok(str_cat("stat of ", path), attributes));
    return expect_equal(str_cat("the size of ", path), content.size(), attributes->size());
}

// --- Steps ---------------------------------------------------------------------------------------------------------

StepOutcome create_directories(Client& client, const std::string& directory) {
    SMOKE_EXPECT(expect_ok("mkdir", client.make_directory(directory)));
    SMOKE_EXPECT(expect_code("mkdir of an existing directory", pb::STATUS_EEXIST, client.make_directory(directory)));
    SMOKE_EXPECT(expect_ok("mkdir -p of several", client.make_directory(directory + "/a/b/c", true)));
    SMOKE_EXPECT(expect_ok("mkdir -p again", client.make_directory(directory + "/a/b/c", true)));
    const Result<pb::Attributes> attributes = client.stat(directory + "/a/b");
    SMOKE_EXPECT(expect_ok("stat of a directory", attributes));
    return expect_equal("the type of a directory", pb::FILE_TYPE_DIRECTORY, attributes->type());
}

StepOutcome empty_file(Client& client, const std::string& directory) {
    SMOKE_EXPECT(put(client, directory + "/empty", ""));
    return expect_content(client, directory + "/empty", "");
}

StepOutcome one_byte(Client& client, const std::string& directory) {
    SMOKE_EXPECT(put(client, directory + "/one", "x"));
    return expect_content(client, directory + "/one", "x");
}

StepOutcome large_file(Client& client, const std::string& directory) {
    const std::string content = test_bytes(kLargeBytes, 1);
    SMOKE_EXPECT(put(client, directory + "/large", content));
    SMOKE_EXPECT(expect_content(client, directory + "/large", content));
    const Result<Payload> range = client.read(directory + "/large", kMiB - 10, 2 * kMiB);
    SMOKE_EXPECT(expect_ok("reading a range", range));
    return expect_bytes("a range across chunks", std::string_view(content).substr(kMiB - 10, 2 * kMiB),
                        range->to_string());
}

StepOutcome overwrite(Client& client, const std::string& directory) {
    const std::string path = directory + "/large";
    std::string content = test_bytes(kLargeBytes, 1);
    const std::string patch = test_bytes(kMiB + 12'345, 99);
    SMOKE_EXPECT(expect_ok("writing into the middle", client.write(path, kMiB + 777, Payload::copy_of(patch))));
    content.replace(kMiB + 777, patch.size(), patch);
    return expect_content(client, path, content);
}

StepOutcome append(Client& client, const std::string& directory) {
    const std::string path = directory + "/appended";
    std::string content = test_bytes(3'000, 5);
    SMOKE_EXPECT(put(client, path, content));
    for (uint64_t i = 0; i < 3; ++i) {
        const std::string more = test_bytes(1'000 + i, i);
        const Result<pb::ClientWriteReply> appended = client.append(path, Payload::copy_of(more));
        SMOKE_EXPECT(expect_ok("append", appended));
        SMOKE_EXPECT(expect_equal("appending at offset", content.size(), appended->offset()));
        content += more;
    }
    return expect_content(client, path, content);
}

StepOutcome truncate(Client& client, const std::string& directory) {
    const std::string path = directory + "/cut";
    std::string content = test_bytes(2 * kMiB + 500, 7);
    SMOKE_EXPECT(put(client, path, content));
    SMOKE_EXPECT(expect_ok("truncate to fewer bytes", client.truncate(path, kMiB + 3)));
    content.resize(kMiB + 3);
    SMOKE_EXPECT(expect_content(client, path, content));
    SMOKE_EXPECT(expect_ok("truncate to more bytes", client.truncate(path, 2 * kMiB)));
    content.resize(2 * kMiB, '\0');  // What was cut off must not come back.
    SMOKE_EXPECT(expect_content(client, path, content));
    SMOKE_EXPECT(expect_ok("truncate to nothing", client.truncate(path, 0)));
    return expect_content(client, path, "");
}

StepOutcome rename(Client& client, const std::string& directory) {
    SMOKE_EXPECT(put(client, directory + "/from", "moved"));
    SMOKE_EXPECT(put(client, directory + "/to", "replaced"));
    SMOKE_EXPECT(expect_ok("rename over a file", client.rename(directory + "/from", directory + "/to")));
    SMOKE_EXPECT(expect_content(client, directory + "/to", "moved"));
    SMOKE_EXPECT(expect_code("stat of the old name", pb::STATUS_ENOENT, client.stat(directory + "/from")));
    SMOKE_EXPECT(expect_ok("rename into another directory", client.rename(directory + "/to", directory + "/a/b/to")));
    SMOKE_EXPECT(expect_ok("rename of a directory", client.rename(directory + "/a/b", directory + "/a/d")));
    return expect_content(client, directory + "/a/d/to", "moved");
}

StepOutcome list(Client& client, const std::string& directory) {
    const std::string place = directory + "/names";
    SMOKE_EXPECT(expect_ok("mkdir", client.make_directory(place)));
    const std::vector<std::string> names = {"A", "a b", "b", "\xc3\xa4", ".hidden", std::string(255, 'n')};
    for (const std::string& name : names) SMOKE_EXPECT(put(client, place + "/" + name, name));
    SMOKE_EXPECT(expect_ok("mkdir", client.make_directory(place + "/c")));
    const Result<std::vector<pb::DirectoryEntry>> entries = client.list(place);
    SMOKE_EXPECT(expect_ok("list", entries));
    std::string saw;
    for (const pb::DirectoryEntry& entry : *entries) str_append(&saw, entry.name(), "|");
    return expect_bytes("the names in order", str_cat(".hidden|A|a b|b|c|", std::string(255, 'n'), "|\xc3\xa4|"), saw);
}

StepOutcome stat(Client& client, const std::string& directory) {
    const std::string path = directory + "/looked-at";
    SMOKE_EXPECT(put(client, path, "12345"));
    const Result<pb::Attributes> file = client.stat(path);
    SMOKE_EXPECT(expect_ok("stat", file));
    SMOKE_EXPECT(expect_equal("type", pb::FILE_TYPE_REGULAR, file->type()));
    SMOKE_EXPECT(expect_equal("size", 5, file->size()));
    SMOKE_EXPECT(expect_equal("links", 1, file->links()));
    if (file->modify_time_us() == 0) return Mismatch{"a time of modification", "none"};
    pb::SetAttributes change;
    change.mutable_at()->set_path(path);
    change.set_mode(0600);
    SMOKE_EXPECT(expect_ok("chmod", client.set_attributes(change)));
    const Result<pb::Attributes> changed = client.stat(path);
    SMOKE_EXPECT(expect_ok("stat", changed));
    SMOKE_EXPECT(expect_equal("mode", 0600, changed->mode()));
    return expect_equal("the same inode", file->inode(), changed->inode());
}

StepOutcome sparse(Client& client, const std::string& directory) {
    const std::string path = directory + "/sparse";
    const uint64_t offset = kGiB + 4'099;
    SMOKE_EXPECT(expect_ok("create", client.create_file(path)));
    SMOKE_EXPECT(expect_ok("writing beyond 1 GiB", client.write(path, offset, Payload::copy_of("far away"))));
    const Result<pb::Attributes> attributes = client.stat(path);
    SMOKE_EXPECT(expect_ok("stat", attributes));
    SMOKE_EXPECT(expect_equal("size", offset + 8, attributes->size()));
    const Result<Payload> tail = client.read(path, offset - 100'000, 200'000);
    SMOKE_EXPECT(expect_ok("reading across the hole's end", tail));
    std::string expected(100'000, '\0');
    expected += "far away";
    SMOKE_EXPECT(expect_bytes("zeros, then the bytes", expected, tail->to_string()));
    const Result<Payload> start = client.read(path, 0, 10'000);
    SMOKE_EXPECT(expect_ok("reading in the hole", start));
    return expect_bytes("zeros", std::string(10'000, '\0'), start->to_string());
}

StepOutcome past_the_end(Client& client, const std::string& directory) {
    const std::string path = directory + "/short";
    SMOKE_EXPECT(put(client, path, "short"));
    const Result<Payload> part = client.read(path, 3, 100);
    SMOKE_EXPECT(expect_ok("reading across the end", part));
    SMOKE_EXPECT(expect_bytes("what is there", "rt", part->to_string()));
    const Result<Payload> nothing = client.read(path, 5'000, 100);
    SMOKE_EXPECT(expect_ok("reading behind the end", nothing));
    return expect_equal("bytes behind the end", 0, nothing->size());
}

StepOutcome missing(Client& client, const std::string& directory) {
    const std::string path = directory + "/missing";
    SMOKE_EXPECT(expect_code("reading it", pb::STATUS_ENOENT, client.read(path, 0, 10)));
    SMOKE_EXPECT(expect_code("stat", pb::STATUS_ENOENT, client.stat(path)));
    SMOKE_EXPECT(expect_code("writing into it", pb::STATUS_ENOENT, client.write(path, 0, Payload::copy_of("x"))));
    SMOKE_EXPECT(expect_code("truncate", pb::STATUS_ENOENT, client.truncate(path, 5)));
    SMOKE_EXPECT(expect_code("remove", pb::STATUS_ENOENT, client.remove_file(path)));
    SMOKE_EXPECT(expect_code("rename", pb::STATUS_ENOENT, client.rename(path, directory + "/other")));
    return expect_code("a file in it", pb::STATUS_ENOENT, client.create_file(path + "/file"));
}

StepOutcome bad_names(Client& client, const std::string& directory) {
    const std::string long_name = directory + "/" + std::string(256, 'n');
    SMOKE_EXPECT(expect_code("a name of 256 bytes", pb::STATUS_ENAMETOOLONG, client.create_file(long_name)));
    std::string long_path = directory;
    while (long_path.size() < 4'097)
        long_path += "/" + std::string(std::min<size_t>(200, 4'096 - long_path.size()), 'p');
    long_path.resize(4'097);
    SMOKE_EXPECT(expect_code("a path of 4097 bytes", pb::STATUS_ENAMETOOLONG, client.stat(long_path)));
    SMOKE_EXPECT(expect_code("\"..\" in a path", pb::STATUS_EINVAL, client.create_file(directory + "/../escaped")));
    const std::string with_nul = directory + std::string("/a\0b", 4);
    SMOKE_EXPECT(expect_code("NUL in a name", pb::STATUS_EINVAL, client.create_file(with_nul)));
    SMOKE_EXPECT(expect_code("a negative offset", pb::STATUS_EINVAL,
                             client.write(directory + "/one", static_cast<uint64_t>(-1), Payload::copy_of("x"))));
    return expect_code("reading at a negative offset", pb::STATUS_EINVAL,
                       client.read(directory + "/one", static_cast<uint64_t>(-1), 1));
}

StepOutcome wrong_kinds(Client& client, const std::string& directory) {
    SMOKE_EXPECT(expect_code("reading a directory", pb::STATUS_EISDIR, client.read(directory, 0, 1)));
    SMOKE_EXPECT(expect_code("a path through a file", pb::STATUS_ENOTDIR, client.stat(directory + "/one/x")));
    SMOKE_EXPECT(expect_code("list of a file", pb::STATUS_ENOTDIR, client.list(directory + "/one")));
    SMOKE_EXPECT(expect_code("rmdir of a file", pb::STATUS_ENOTDIR, client.remove_directory(directory + "/one")));
    return expect_code("create of an existing file, exclusively", pb::STATUS_EEXIST,
                       client.create_file(directory + "/one", true));
}

StepOutcome own_subtree(Client& client, const std::string& directory) {
    SMOKE_EXPECT(expect_ok("mkdir", client.make_directory(directory + "/outer/inner", true)));
    return expect_code("rename into its own subtree", pb::STATUS_EINVAL,
                       client.rename(directory + "/outer", directory + "/outer/inner/moved"));
}

StepOutcome not_empty(Client& client, const std::string& directory) {
    return expect_code("rmdir of a directory that is not empty", pb::STATUS_ENOTEMPTY,
                       client.remove_directory(directory + "/outer"));
}

StepOutcome remove(Client& client, const std::string& directory) {
    SMOKE_EXPECT(expect_ok("removing a file", client.remove_file(directory + "/large")));
    SMOKE_EXPECT(expect_code("reading it afterwards", pb::STATUS_ENOENT, client.read(directory + "/large", 0, 1)));
    SMOKE_EXPECT(remove_all(client, directory));
    return expect_code("stat of the directory afterwards", pb::STATUS_ENOENT, client.stat(directory));
}

}  // namespace

std::string code_name_of(pb::StatusCode code) {
    const std::string name = pb::StatusCode_Name(code);
    return name.starts_with("STATUS_") ? name.substr(7) : name;
}

StepOutcome remove_all(Client& client, const std::string& path) {
    const std::vector<RemovalFailure> failures = remove_tree(client, path);
    if (failures.empty()) return std::nullopt;
    return expect_ok(str_cat("removing ", failures.front().path), failures.front().status);
}

std::vector<SmokeStep> smoke_steps() {
    return {
        {"create directories", create_directories},
        {"write and read an empty file", empty_file},
        {"write and read 1 byte", one_byte},
        {"write and read 5 MiB + 1 over several chunks", large_file},
        {"overwrite a range in the middle", overwrite},
        {"append", append},
        {"truncate to fewer and to more bytes", truncate},
        {"rename files and directories", rename},
        {"list by name", list},
        {"stat", stat},
        {"write beyond 1 GiB, zeros before it", sparse},
        {"read past the end", past_the_end},
        {"a missing file is ENOENT", missing},
        {"bad names, paths and offsets are refused", bad_names},
        {"files and directories are not taken for each other", wrong_kinds},
        {"a directory cannot move into itself", own_subtree},
        {"a directory that is not empty stays", not_empty},
        {"remove", remove},
    };
}

}  // namespace sandstore
