// Finds Objective-C's runtime and Metal where Apple's systems have them.
#include "metal_api.h"

#include <dlfcn.h>

#include <mutex>

#include "../status.h"

namespace se::metal {
namespace {

// Tests put a library of their own in the place of both.
#if defined(SE_METAL_STAND_IN)
constexpr char kObjectiveC[] = SE_METAL_STAND_IN;
constexpr char kMetal[] = SE_METAL_STAND_IN;
#else
constexpr char kObjectiveC[] = "/usr/lib/libobjc.A.dylib";
constexpr char kMetal[] = "/System/Library/Frameworks/Metal.framework/Metal";
#endif

template <typename Function>
bool find(void *library, const char *name, Function &out) {
  out = library == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(library, name));
  return out != nullptr;
}

bool load(Api &api) {
  void *objective_c = ::dlopen(kObjectiveC, RTLD_NOW | RTLD_LOCAL);
  void *metal = ::dlopen(kMetal, RTLD_NOW | RTLD_LOCAL);
  return find(metal, "MTLCreateSystemDefaultDevice", api.CreateSystemDefaultDevice) &&
         find(objective_c, "objc_getClass", api.getClass) && find(objective_c, "sel_registerName", api.registerName) &&
         find(objective_c, "objc_autoreleasePoolPush", api.autoreleasePoolPush) &&
         find(objective_c, "objc_autoreleasePoolPop", api.autoreleasePoolPop) &&
         find(objective_c, "objc_msgSend", api.msgSend);
}

}  // namespace

const Api &api() {
  static Api loaded{};
  static const bool is_loaded = load(loaded);
  if (is_loaded) return loaded;
  throw Error(SE_UNSUPPORTED, "this system has no Metal");
}

Id string(const std::string &text) { return send(api().getClass("NSString"), "stringWithUTF8String:", text.c_str()); }

std::string text(Id string) {
  const char *words = send<const char *>(string, "UTF8String");
  return words == nullptr ? "" : words;
}

std::string reason(Id error) {
  const std::string said = text(send(error, "localizedDescription"));
  return said.empty() ? "no reason given" : said;
}

}  // namespace se::metal
