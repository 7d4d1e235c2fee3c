#include <charconv>
#include <cstring>
#include <optional>

#include "apps/backup/manifest.h"
#include "apps/backup/tar_stream.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kRecordsBytesMax = 4ull << 20;  // Of one pax header.
constexpr std::string_view kBeginComment = "sandstore-backup ";
constexpr std::string_view kEndComment = "sandstore-backup-end ";

std::optional<uint64_t> number_in(std::string_view text, int base = 10) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// "key=value" out of words with blanks between them.
std::string_view word_of(std::string_view text, std::string_view key) {
    for (size_t at = 0; at < text.size();) {
        const size_t blank = std::min(text.find(' ', at), text.size());
        const std::string_view word = text.substr(at, blank - at);
        if (word.starts_with(key) && word.substr(key.size(), 1) == "=") return word.substr(key.size() + 1);
        at = blank + 1;
    }
    return {};
}

uint64_t microseconds(std::string_view text) {
    const size_t dot = std::min(text.find('.'), text.size());
    std::string fraction(dot < text.size() ? text.substr(dot + 1) : "");
    fraction.resize(6, '0');
    return number_in(text.substr(0, dot)).value_or(0) * 1'000'000 + number_in(fraction).value_or(0);
}

}  // namespace

struct TarReader::Block {
    char bytes[kTarBlockBytes];

    char type() const { return bytes[156]; }
    uint64_t octal(size_t at, size_t length) const {
        std::string_view text(bytes + at, length);
        while (!text.empty() && (text.front() == ' ')) text.remove_prefix(1);
        while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
        return number_in(text, 8).value_or(0);
    }
    bool is_zeros() const {
        return std::string_view(bytes, kTarBlockBytes).find_first_not_of('\0') == std::string::npos;
    }
    bool is_header() const {
        unsigned sum = 0;
        for (size_t i = 0; i < kTarBlockBytes; ++i) {
            sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(bytes[i]);
        }
        return std::memcmp(bytes + 257, "ustar", 5) == 0 && octal(148, 8) == sum;
    }
};

bool TarReader::fail(std::string_view what) {
    if (problem_.empty()) problem_ = str_cat("the stream is damaged at offset ", taken_, ": ", what);
    done_ = true;
    return false;
}

bool TarReader::take(char* bytes, size_t length) {
    for (size_t filled = 0; filled < length;) {
        const int64_t count = source_(bytes + filled, length - filled);
        if (count == 0) return fail("it ends too early");
        if (count < 0) return fail(strerror(static_cast<int>(-count)));
        filled += static_cast<size_t>(count);
    }
    crc_ = crc32c(std::string_view(bytes, length), crc_);
    taken_ += length;
    return true;
}

bool TarReader::skip_padding() {
    char padding[kTarBlockBytes];
    const size_t beyond = taken_ % kTarBlockBytes;
    return beyond == 0 || take(padding, kTarBlockBytes - beyond);
}

bool TarReader::read_records(uint64_t size, std::vector<std::pair<std::string, std::string>>* records) {
    if (size > kRecordsBytesMax) return fail("a header is too long");
    std::string text(size, '\0');
    if (!take(text.data(), text.size()) || !skip_padding()) return false;
    for (std::string_view rest = text; !rest.empty();) {
        const size_t blank = std::min(rest.find(' '), rest.size());
        const uint64_t length = number_in(rest.substr(0, blank)).value_or(0);
        const size_t equals = rest.find('=');
        if (length > rest.size() || length < blank + 3 || equals == std::string_view::npos || equals >= length ||
            rest[length - 1] != '\n') {
            return fail("a header cannot be read");
        }
        records->emplace_back(rest.substr(blank + 1, equals - blank - 1), rest.substr(equals + 1, length - equals - 2));
        rest.remove_prefix(length);
    }
    return true;
}

bool TarReader::begin(pb::BackupHeader* header) {
    Block block;
    std::vector<std::pair<std::string, std::string>> records;
    const bool readable = take(block.bytes, sizeof(block.bytes)) && block.is_header() && block.type() == 'g' &&
                          read_records(block.octal(124, 12), &records);
    if (!readable || records.empty() || records[0].first != "comment" ||
        !records[0].second.starts_with(kBeginComment)) {
        problem_ = "this is no tar stream of `sandstore backup create -`";
        return false;
    }
    const std::string_view comment = records[0].second;
    const uint64_t format = number_in(word_of(comment, "format")).value_or(0);
    if (format != kBackupFormat) {
        problem_ = str_cat("the stream is of format ", format, "; this program reads format ", kBackupFormat);
        return false;
    }
    header->set_format(kBackupFormat);
    header->set_backup_id(std::string(word_of(comment, "id")));
    header->set_cluster_id(std::string(word_of(comment, "cluster")));
    header->set_applied_index(number_in(word_of(comment, "index")).value_or(0));
    header->set_directories(number_in(word_of(comment, "directories")).value_or(0));
    header->set_files(number_in(word_of(comment, "files")).value_or(0));
    header->set_file_bytes(number_in(word_of(comment, "bytes")).value_or(0));
    const bool named = !header->backup_id().empty() && header->backup_id().find('/') == std::string::npos;
    return named || fail("it has no name");
}

bool TarReader::read_end(std::string_view comment, uint32_t crc) {
    if (!comment.starts_with(kEndComment)) return fail("a comment that is not its checksum");
    if (number_in(word_of(comment, "entries")) != entries_) return fail("entries are missing, or too many");
    if (number_in(word_of(comment, "crc32c"), 16) != crc) return fail("the checksum of the whole does not match");
    done_ = true;
    // Whoever writes into the pipe wants to be read to the end.
    char rest[kTarBlockBytes];
    int64_t count = 1;
    while (count > 0) count = source_(rest, sizeof(rest));
    return false;
}

bool TarReader::read_sparse_map(TarMember* member, uint64_t* data_bytes) {
    std::string text;
    size_t at = 0;
    uint64_t blocks_bytes = 0;
    const auto next_number = [&]() -> std::optional<uint64_t> {
        while (text.find('\n', at) == std::string::npos) {
            if (blocks_bytes >= *data_bytes) return std::nullopt;
            text.resize(text.size() + kTarBlockBytes);
            if (!take(text.data() + text.size() - kTarBlockBytes, kTarBlockBytes)) return std::nullopt;
            blocks_bytes += kTarBlockBytes;
        }
        const size_t end = text.find('\n', at);
        const auto number = number_in(std::string_view(text).substr(at, end - at));
        at = end + 1;
        return number;
    };
    const auto count = next_number();
    uint64_t end = 0;
    uint64_t covered = 0;
    for (uint64_t i = 0; count && i < *count; ++i) {
        const auto offset = next_number();
        const auto length = next_number();
        if (!offset || !length || *offset < end || *offset > member->entry.size() ||
            *length > member->entry.size() - *offset) {
            return fail("the map of a file with holes cannot be read");
        }
        end = *offset + *length;
        covered += *length;
        if (*length > 0) add_range(&member->ranges, *offset, *length);
    }
    if (!count || covered != *data_bytes - blocks_bytes) return fail("the map of a file with holes is wrong");
    *data_bytes = covered;
    return true;
}

bool TarReader::next(TarMember* member) {
    if (done_) return false;
    *member = TarMember();
    pb::BackupEntry& entry = member->entry;
    std::vector<std::pair<std::string, std::string>> records;
    std::string none;
    while (data_left_ > 0) {
        if (!read(&none, std::min<uint64_t>(data_left_, 1 << 20))) return false;
    }
    if (!skip_padding()) return false;
    Block block;
    uint32_t crc = crc_;
    bool sparse = false;
    uint64_t size = 0;
    while (true) {
        if (!take(block.bytes, sizeof(block.bytes))) return false;
        if (block.is_zeros()) return fail("it ends without its checksum");
        if (!block.is_header()) return fail("a header is damaged");
        if (block.type() != 'x' && block.type() != 'g') break;
        records.clear();
        if (!read_records(block.octal(124, 12), &records)) return false;
        if (block.type() == 'g') return fail("a header of another kind");
        if (!records.empty() && records[0].first == "comment") return read_end(records[0].second, crc);
        for (const auto& [keyword, value] : records) {
            if (keyword == "path" || keyword == "GNU.sparse.name") member->path = value;
            if (keyword == "GNU.sparse.major") sparse = true;
            if (keyword == "GNU.sparse.realsize") entry.set_size(number_in(value).value_or(0));
            if (keyword == "size") size = number_in(value).value_or(0);
            if (keyword == "uid") entry.set_uid(static_cast<uint32_t>(number_in(value).value_or(0)));
            if (keyword == "gid") entry.set_gid(static_cast<uint32_t>(number_in(value).value_or(0)));
            if (keyword == "mtime") entry.set_modify_time_us(microseconds(value));
            if (keyword == "atime") entry.set_access_time_us(microseconds(value));
        }
    }
    if (block.type() != '0' && block.type() != '5') return fail("a member of an unknown kind");
    entry.set_mode(static_cast<uint32_t>(block.octal(100, 8)));
    entry.set_directory(block.type() == '5');
    while (member->path.ends_with('/')) member->path.pop_back();
    if (member->path == ".") member->path.clear();
    if (entry.directory() && size > 0) return fail("a directory has content");
    ++entries_;
    if (!entry.directory() && !sparse) {
        entry.set_size(size);
        if (size > 0) member->ranges = {{0, size}};
    }
    if (sparse && !read_sparse_map(member, &size)) return false;
    data_left_ = size;
    return true;
}

bool TarReader::read(std::string* bytes, size_t length) {
    if (length > data_left_) return fail("more was asked for than there is");
    bytes->resize(length);
    data_left_ -= length;
    return take(bytes->data(), length);
}

}  // namespace sandstore
