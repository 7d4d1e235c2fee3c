#include <cstring>

#include "apps/backup/tar_stream.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// "27 mtime=1700000000.000001\n": the length counts itself.
std::string record(std::string_view keyword, std::string_view value) {
    const size_t rest = keyword.size() + value.size() + 3;
    size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
    return str_cat(length, " ", keyword, "=", value, "\n");
}

std::string seconds(uint64_t microseconds) {
    return str_cat(microseconds / 1'000'000, str_format(".%06u", static_cast<unsigned>(microseconds % 1'000'000)));
}

// What does not fit stands in the pax header.
void put_octal(char* field, size_t bytes, uint64_t value) {
    const uint64_t largest = (uint64_t{1} << (3 * (bytes - 1))) - 1;
    std::snprintf(field, bytes, "%0*llo", static_cast<int>(bytes - 1),
                  static_cast<unsigned long long>(value > largest ? 0 : value));
}

}  // namespace

void TarWriter::out(std::string_view bytes) {
    if (error_ != 0) return;
    crc_ = crc32c(bytes, crc_);
    written_ += bytes.size();
    error_ = sink_(bytes);
}

void TarWriter::pad() {
    const size_t beyond = written_ % kTarBlockBytes;
    if (beyond > 0) out(std::string(kTarBlockBytes - beyond, '\0'));
}

void TarWriter::header(const std::string& name, char type, uint64_t size, const pb::BackupEntry& entry) {
    char block[kTarBlockBytes + 1] = {};
    std::memcpy(block, name.data(), std::min<size_t>(name.size(), 100));
    put_octal(block + 100, 8, entry.mode());
    put_octal(block + 108, 8, entry.uid());
    put_octal(block + 116, 8, entry.gid());
    put_octal(block + 124, 12, size);
    put_octal(block + 136, 12, entry.modify_time_us() / 1'000'000);
    std::memset(block + 148, ' ', 8);
    block[156] = type;
    std::memcpy(block + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (size_t i = 0; i < kTarBlockBytes; ++i) sum += static_cast<unsigned char>(block[i]);
    std::snprintf(block + 148, 8, "%06o", sum);
    block[155] = ' ';
    out(std::string_view(block, kTarBlockBytes));
}

void TarWriter::pax(char type, const std::string& records) {
    header(type == 'g' ? "pax_global_header" : "PaxHeader", type, records.size(), pb::BackupEntry());
    out(records);
    pad();
}

std::string TarWriter::common_records(const pb::BackupEntry& entry) const {
    return str_cat(record("mtime", seconds(entry.modify_time_us())), record("atime", seconds(entry.access_time_us())),
                   record("uid", std::to_string(entry.uid())), record("gid", std::to_string(entry.gid())));
}

void TarWriter::begin(const pb::BackupHeader& header) {
    pax('g', record("comment", str_cat("sandstore-backup format=", header.format(), " id=", header.backup_id(),
                                       " cluster=", header.cluster_id(), " index=", header.applied_index(),
                                       " directories=", header.directories(), " files=", header.files(),
                                       " bytes=", header.file_bytes())));
}

void TarWriter::directory(const std::string& path, const pb::BackupEntry& entry) {
    ++entries_;
    if (path.empty()) root_ = entry;
    const std::string name = str_cat(path.empty() ? "." : path, "/");
    pax('x', str_cat(record("path", name), common_records(entry)));
    header(name, '5', 0, entry);
}

void TarWriter::file(const std::string& path, const pb::BackupEntry& entry) {
    SANDSTORE_CHECK(data_left_ == 0, "bytes of the file before are missing");
    ++entries_;
    std::vector<DataRange> ranges = data_ranges(entry);
    for (const DataRange& range : ranges) data_left_ += range.length;
    if (data_left_ == entry.size()) {
        pax('x', str_cat(record("path", path), record("size", std::to_string(entry.size())), common_records(entry)));
        return header(path, '0', entry.size(), entry);
    }
    if (ranges.empty() || ranges.back().offset + ranges.back().length < entry.size())
        ranges.push_back({entry.size(), 0});
    std::string map = str_cat(ranges.size(), "\n");
    for (const DataRange& range : ranges) str_append(&map, range.offset, "\n", range.length, "\n");
    map.resize((map.size() + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes, '\0');
    const uint64_t size = map.size() + data_left_;
    pax('x', str_cat(record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0"), record("GNU.sparse.name", path),
                     record("GNU.sparse.realsize", std::to_string(entry.size())), record("size", std::to_string(size)),
                     common_records(entry)));
    header("GNUSparseFile.0/file", '0', size, entry);
    out(map);
}

void TarWriter::data(std::string_view bytes) {
    SANDSTORE_CHECK(bytes.size() <= data_left_, "more bytes than the file has");
    data_left_ -= bytes.size();
    out(bytes);
}

void TarWriter::end_file() {
    SANDSTORE_CHECK(data_left_ == 0 || error_ != 0, "bytes of the file are missing");
    pad();
}

void TarWriter::finish() {
    const std::string end = str_cat("sandstore-backup-end entries=", entries_, " crc32c=", str_format("%08x", crc_));
    pax('x', str_cat(record("comment", end), record("path", "./"), common_records(root_)));
    header("./", '5', 0, root_);
    out(std::string(2 * kTarBlockBytes, '\0'));
    // As other programs fill their last record.
    const size_t beyond = written_ % (20 * kTarBlockBytes);
    if (beyond > 0) out(std::string(20 * kTarBlockBytes - beyond, '\0'));
}

}  // namespace sandstore
