// Objective-C and Metal as we call them, found at run time: no header and no library of Apple's is needed to build
// this.
//
// Selectors, numbers and ownership are those of Apple's documentation (Metal, Objective-C Runtime): what a
// method beginning with `new` returns belongs to the caller, everything else to the autorelease pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace se::metal {

using Id = void *;  // an object or a class of Objective-C
using Selector = const void *;

// MTLSize.
struct Size {
  uint64_t width, height, depth;
};

constexpr uint64_t kStorageModeShared = 0;        // MTLResourceStorageModeShared
constexpr uint64_t kCommandBufferFailed = 5;      // MTLCommandBufferStatusError
constexpr uint64_t kFailOnBinaryArchiveMiss = 4;  // MTLPipelineOptionFailOnBinaryArchiveMiss
constexpr int64_t kOutOfMemory = 8;               // MTLCommandBufferErrorOutOfMemory

struct Api {
  Id (*CreateSystemDefaultDevice)();
  Id (*getClass)(const char *);
  Selector (*registerName)(const char *);
  void *(*autoreleasePoolPush)();
  void (*autoreleasePoolPop)(void *);
  void *msgSend;
};

// UNSUPPORTED without Metal.
const Api &api();

// [object name: arguments…]; a message to null gives zero, as in Objective-C.
template <typename Result = Id, typename... Arguments>
Result send(Id object, const char *name, Arguments... arguments) {
  using Method = Result (*)(Id, Selector, Arguments...);
  return reinterpret_cast<Method>(api().msgSend)(object, api().registerName(name), arguments...);
}

// What methods return without `new` lives until the end of the scope.
class Pool {
 public:
  Pool() : pool_(api().autoreleasePoolPush()) {}
  ~Pool() { api().autoreleasePoolPop(pool_); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

 private:
  void *pool_;
};

// An object that we hold one reference to.
class Owned {
 public:
  Owned() = default;
  explicit Owned(Id taken) : object_(taken) {}
  Owned(Owned &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Owned &operator=(Owned &&other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Owned() {
    if (object_ != nullptr) send<void>(object_, "release");
  }
  static Owned retained(Id object) { return Owned(send(object, "retain")); }
  Id get() const { return object_; }

 private:
  Id object_ = nullptr;
};

// An autoreleased NSString, and the text of one.
Id string(const std::string &text);
std::string text(Id string);
// [error localizedDescription].
std::string reason(Id error);

}  // namespace se::metal
