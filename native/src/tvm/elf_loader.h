// Loads a compiled model's shared library without a dynamic loader: into a statically linked program.
//
// It can be this small because such a library is: position-independent code that calls a few functions of the C
// library and one of TVM's, without constructors, thread-local variables or versions (docs/decisions/0005).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace se {

class ElfLibrary {
 public:
  // Throws LOAD_FAILED for a file that cannot be read or needs a function that does not exist here, FORMAT_MISMATCH for
  // another machine's code, MODEL_CORRUPT for anything but a library as `sphere-edge package` makes it.
  explicit ElfLibrary(const std::filesystem::path &path);
  ~ElfLibrary();
  ElfLibrary(const ElfLibrary &) = delete;
  ElfLibrary &operator=(const ElfLibrary &) = delete;

  // The address of what the library defines under this name; null if it does not.
  void *symbol(const std::string &name) const;

 private:
  struct Segment {
    uint64_t begin;
    uint64_t end;
    int protection;
  };

  void map(int file, uint64_t file_bytes);
  void map_segment(int file, const void *header);
  void read_dynamic_section();
  void relocate(uint64_t table, uint64_t bytes);
  uint64_t value_of(uint64_t symbol_index) const;
  void protect_relocated() const;

  // Copies `bytes` at an address of the library out of it; MODEL_CORRUPT if they are not all inside.
  void copy(void *out, uint64_t address, uint64_t bytes) const;
  template <typename T>
  T read(uint64_t address) const {
    T value;
    copy(&value, address, sizeof value);
    return value;
  }
  std::string name_at(uint64_t offset) const;
  [[noreturn]] void fail(const std::string &what) const;

  std::filesystem::path path_;
  std::byte *base_ = nullptr;
  uint64_t size_ = 0;
  std::vector<Segment> segments_;
  Segment dynamic_{};
  Segment relocated_{};
  uint64_t symbols_ = 0;
  uint64_t symbol_count_ = 0;
  uint64_t names_ = 0;
  uint64_t names_bytes_ = 0;
  std::map<std::string, void *> defined_;
};

}  // namespace se
