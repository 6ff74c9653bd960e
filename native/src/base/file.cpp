// Reading and mapping of files, with our errors.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail_to_open(const fs::path &path, int reason) {
  if (reason == ENOENT || reason == ENOTDIR) throw Error(SE_NOT_FOUND, "no such file: " + ticked(path.string()));
  throw Error(SE_LOAD_FAILED, "cannot read " + ticked(path.string()) + ": " + std::strerror(reason));
}

}  // namespace

uint64_t file_bytes(const fs::path &path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) fail_to_open(path, errno);
  if (!S_ISREG(status.st_mode)) throw Error(SE_LOAD_FAILED, "not a regular file: " + ticked(path.string()));
  return static_cast<uint64_t>(status.st_size);
}

std::string read_file(const fs::path &path, uint64_t limit) {
  const uint64_t size = file_bytes(path);
  if (size > limit) {
    throw Error(SE_MODEL_CORRUPT,
                ticked(path.string()) + " is larger than the " + std::to_string(limit) + " bytes such a file may have");
  }
  std::ifstream stream(path, std::ios::binary);
  std::string content(size, '\0');
  stream.read(content.data(), static_cast<std::streamsize>(size));
  if (!stream) fail_to_open(path, errno != 0 ? errno : EIO);
  return content;
}

void write_file(const fs::path &path, std::span<const std::span<const std::byte>> parts) {
  std::string beside = path.string() + ".XXXXXX";
  const auto fail = [&](int reason) {
    throw Error(SE_STORAGE, "cannot write " + ticked(path.string()) + ": " + std::strerror(reason));
  };
  const int descriptor = ::mkstemp(beside.data());
  if (descriptor < 0) fail(errno);
  int reason = 0;
  for (auto part : parts) {
    while (reason == 0 && !part.empty()) {
      const ssize_t written = ::write(descriptor, part.data(), part.size());
      if (written < 0 && errno != EINTR) reason = errno;
      if (written > 0) part = part.subspan(static_cast<size_t>(written));
    }
  }
  if (reason == 0 && ::fsync(descriptor) != 0) reason = errno;
  ::close(descriptor);
  if (reason == 0 && ::rename(beside.c_str(), path.c_str()) != 0) reason = errno;
  if (reason == 0) return;
  ::unlink(beside.c_str());
  fail(reason);
}

fs::path path_inside(const fs::path &folder, const std::string &relative, const std::string &sha256) {
  const fs::path path(relative);
  bool leaves = relative.empty() || path.is_absolute() || relative.find('\0') != std::string::npos;
  for (const auto &part : path) leaves = leaves || part == "..";
  if (!leaves) {
    std::error_code error;
    const fs::path real_folder = fs::canonical(folder, error);
    const fs::path real_path = error ? fs::path() : fs::weakly_canonical(folder / path, error);
    const fs::path inside = real_path.lexically_relative(real_folder);
    const bool blob = real_path.filename() == sha256 && real_path.parent_path().filename() == "blobs";
    leaves = error || ((inside.empty() || *inside.begin() == "..") && !blob);
  }
  if (leaves) throw Error(SE_MODEL_CORRUPT, "bundle file " + ticked(relative) + " lies outside the bundle");
  return folder / path;
}

MappedFile::MappedFile(const fs::path &path) {
  size_ = file_bytes(path);
  if (size_ == 0) return;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_to_open(path, errno);
  void *address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  if (address == MAP_FAILED) {
    if (reason == ENOMEM) throw Error(SE_OOM_RAM, "no address space left to map " + ticked(path.string()));
    fail_to_open(path, reason);
  }
  data_ = static_cast<const std::byte *>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte *>(data_), size_);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

void MappedFile::will_need() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte *>(data_), size_, MADV_WILLNEED);
}

}  // namespace se
