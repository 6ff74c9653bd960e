// Byte streams as TVM's runtime sources expect them; its wheel holds the sources without this header.
#pragma once

#include <cstddef>

namespace tvm::support {

// How a type is written and read. Types with `enabled` can be passed to Stream::Write and Read.
template <typename T, typename = void>
struct Serializer {
  static constexpr bool enabled = false;
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Both return how many bytes were moved.
  virtual size_t Read(void *data, size_t bytes) = 0;
  virtual size_t Write(const void *data, size_t bytes) = 0;

  template <typename T>
  void Write(const T &value) {
    static_assert(Serializer<T>::enabled);
    Serializer<T>::Write(this, value);
  }

  template <typename T>
  bool Read(T *value) {
    static_assert(Serializer<T>::enabled);
    return Serializer<T>::Read(this, value);
  }

  template <typename T>
  void WriteArray(const T *values, size_t count) {
    for (size_t i = 0; i < count; ++i) Write<T>(values[i]);
  }

  template <typename T>
  bool ReadArray(T *values, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (!Read<T>(values + i)) return false;
    }
    return true;
  }
};

}  // namespace tvm::support
