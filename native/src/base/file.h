// Files read from disk: whole small ones, and big ones mapped into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace se {

// The size of a regular file; NOT_FOUND when there is none, with `path` in the message.
uint64_t file_bytes(const std::filesystem::path &path);

// A file of at most `limit` bytes; MODEL_CORRUPT when it is larger.
std::string read_file(const std::filesystem::path &path, uint64_t limit);

// Writes these parts one after the other into a file beside `path`, then renames it: whoever reads `path` sees the old
// file or the whole new one. STORAGE.
void write_file(const std::filesystem::path &path, std::span<const std::span<const std::byte>> parts);

// `relative` below `folder`; MODEL_CORRUPT when it is absolute or leaves the folder, also through a symbolic link. The
// only exception: a link to `blobs/<sha256>` of the store on a device, named after the content that it must have.
std::filesystem::path path_inside(const std::filesystem::path &folder, const std::string &relative,
                                  const std::string &sha256);

// A read-only mapping of a whole file. Moving keeps the address.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path &path);
  ~MappedFile();
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&) = delete;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Asks the system to read the file ahead, so that the first token does not wait for page faults.
  void will_need() const;

 private:
  const std::byte *data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace se
