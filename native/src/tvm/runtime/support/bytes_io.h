// Streams over memory.
#pragma once

#include <tvm/ffi/string.h>
#include <tvm/support/io.h>
#include <tvm/support/serializer.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace tvm::support {

// Reads what `bytes` holds, which must outlive the stream. Writes nothing.
class BytesInStream : public Stream {
 public:
  using Stream::Read;
  using Stream::Write;

  explicit BytesInStream(const ffi::Bytes &bytes) : next_(bytes.data()), left_(bytes.size()) {}
  explicit BytesInStream(const std::string &bytes) : next_(bytes.data()), left_(bytes.size()) {}

  size_t Read(void *data, size_t bytes) override {
    bytes = std::min(bytes, left_);
    if (bytes != 0) std::memcpy(data, next_, bytes);
    next_ += bytes;
    left_ -= bytes;
    return bytes;
  }
  size_t Write(const void *, size_t) override { return 0; }

 private:
  const char *next_;
  size_t left_;
};

// Appends to `out`, which must outlive the stream. Reads nothing.
class BytesOutStream : public Stream {
 public:
  using Stream::Read;
  using Stream::Write;

  explicit BytesOutStream(std::string *out) : out_(out) {}

  size_t Read(void *, size_t) override { return 0; }
  size_t Write(const void *data, size_t bytes) override {
    out_->append(static_cast<const char *>(data), bytes);
    return bytes;
  }

 private:
  std::string *out_;
};

}  // namespace tvm::support
