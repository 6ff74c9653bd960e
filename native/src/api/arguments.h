// Arguments and results of the C API: checked, and copied in and out.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>

#include "base/status.h"

namespace se {

template <typename T>
T &target(T *pointer, const char *name) {
  require(pointer != nullptr, std::string(name) + " is NULL");
  return *pointer;
}

inline const char *string_argument(const char *string, const char *name) { return &target(string, name); }

inline std::string text_or_empty(const char *text) { return text == nullptr ? "" : text; }

template <typename T>
std::span<const T> span_argument(const T *items, size_t count, const char *name) {
  require(items != nullptr || count == 0, std::string(name) + " is NULL");
  return {items, count};
}

// A struct of the caller's may be older and shorter than ours, or newer and longer.
inline size_t checked_size(size_t size, const char *what) {
  require(size >= sizeof(size_t) && size <= 4096,
          "the size of the " + std::string(what) + " is out of range: " + ticked(std::to_string(size)),
          "set it to sizeof(the struct)");
  return size;
}

// Copies the fields that the caller's struct has.
template <typename Options>
void copy_options(const Options *given, Options &options) {
  if (given == nullptr) return;
  checked_size(given->size, "options");
  std::memcpy(static_cast<void *>(&options), given, std::min(given->size, sizeof(Options)));
  options.size = sizeof(Options);
}

// Copies what the caller's struct of `size` bytes has room for, and sets its size.
template <typename Struct>
void copy_out(Struct ours, Struct *out, size_t size) {
  ours.size = size;
  std::memcpy(static_cast<void *>(out), &ours, std::min(size, sizeof(ours)));
}

// The functions that fill in default options: `make()` inside guard.
template <typename Options, typename Make>
se_status guard_defaults(Options *out_options, size_t size, Make &&make) noexcept {
  return guard([&] {
    target(out_options, "out_options");
    copy_out(make(), out_options, checked_size(size, "options"));
  });
}

inline char *copy_string(const std::string &text) {
  auto *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

// The functions that return a string: `make()` inside guard.
template <typename Make>
se_status guard_string(char **out, Make &&make) noexcept {
  return guard([&] {
    char *&copy = target(out, "the string's out_ argument");
    copy = copy_string(make());
  });
}

// The functions that report how a call went: `call(result)` inside guard. The result is copied to the caller's struct,
// as far as that reaches, whether the call succeeded or was stopped; `exported` makes the C struct of it.
template <typename Result, typename CResult, typename Call>
se_status guard_with_result(CResult *out, Call &&call) noexcept {
  Result result;
  const se_status status = guard([&] {
    if (out != nullptr) checked_size(out->size, "result");
    call(result);
  });
  if (out != nullptr && (status == SE_OK || status == SE_CANCELLED || status == SE_TIMEOUT)) {
    copy_out(exported(result), out, out->size);
  }
  return status;
}

}  // namespace se
