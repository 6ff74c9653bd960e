// TVM's binary format: numbers as they lie in little-endian memory, sequences as a 64-bit count and their items.
#pragma once

#include <dlpack/dlpack.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/string.h>
#include <tvm/support/io.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tvm::support {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

// A count from a file is not believed: room is made for this much at a time.
inline constexpr uint64_t kMostBytesAtOnce = 1 << 20;

template <typename T>
struct Serializer<T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>>> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const T &value) { stream->Write(static_cast<const void *>(&value), sizeof(T)); }
  static bool Read(Stream *stream, T *value) {
    return stream->Read(static_cast<void *>(value), sizeof(T)) == sizeof(T);
  }
};

template <>
struct Serializer<std::string> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const std::string &text) {
    stream->Write<uint64_t>(text.size());
    stream->Write(static_cast<const void *>(text.data()), text.size());
  }
  static bool Read(Stream *stream, std::string *text) {
    uint64_t left = 0;
    if (!stream->Read(&left)) return false;
    text->clear();
    while (left > 0) {
      const uint64_t part = std::min(left, kMostBytesAtOnce);
      const size_t before = text->size();
      text->resize(before + part);
      if (stream->Read(static_cast<void *>(text->data() + before), part) != part) return false;
      left -= part;
    }
    return true;
  }
};

template <typename T>
struct Serializer<std::vector<T>> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const std::vector<T> &items) {
    stream->Write<uint64_t>(items.size());
    stream->WriteArray(items.data(), items.size());
  }
  static bool Read(Stream *stream, std::vector<T> *items) {
    uint64_t count = 0;
    if (!stream->Read(&count)) return false;
    items->clear();
    for (uint64_t i = 0; i < count; ++i) {
      if (!stream->Read(&items->emplace_back())) return false;
    }
    return true;
  }
};

template <>
struct Serializer<ffi::String> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const ffi::String &text) { stream->Write(std::string(text)); }
  static bool Read(Stream *stream, ffi::String *text) {
    std::string read;
    if (!stream->Read(&read)) return false;
    *text = ffi::String(std::move(read));
    return true;
  }
};

template <typename T>
struct Serializer<ffi::Array<T>> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const ffi::Array<T> &items) {
    stream->Write(std::vector<T>(items.begin(), items.end()));
  }
  static bool Read(Stream *stream, ffi::Array<T> *items) {
    std::vector<T> read;
    if (!stream->Read(&read)) return false;
    *items = ffi::Array<T>(read.begin(), read.end());
    return true;
  }
};

template <>
struct Serializer<DLDataType> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const DLDataType &type) {
    stream->Write(type.code);
    stream->Write(type.bits);
    stream->Write(type.lanes);
  }
  static bool Read(Stream *stream, DLDataType *type) {
    return stream->Read(&type->code) && stream->Read(&type->bits) && stream->Read(&type->lanes);
  }
};

template <>
struct Serializer<DLDevice> {
  static constexpr bool enabled = true;
  static void Write(Stream *stream, const DLDevice &device) {
    stream->Write(static_cast<int32_t>(device.device_type));
    stream->Write(device.device_id);
  }
  static bool Read(Stream *stream, DLDevice *device) {
    int32_t type = 0;
    if (!stream->Read(&type) || !stream->Read(&device->device_id)) return false;
    device->device_type = static_cast<DLDeviceType>(type);
    return true;
  }
};

}  // namespace tvm::support
