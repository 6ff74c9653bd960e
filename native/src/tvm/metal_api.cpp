// Loads Objective-C's runtime and Metal from where Apple's systems install them.
#include "tvm/metal_api.h"

#include <array>

#include "tvm/driver_library.h"

namespace se::metal {
namespace {

// Tests replace both with a library of their own.
#if defined(SE_METAL_STAND_IN)
constexpr char kObjectiveC[] = SE_METAL_STAND_IN;
constexpr char kMetal[] = SE_METAL_STAND_IN;
#else
constexpr char kObjectiveC[] = "/usr/lib/libobjc.A.dylib";
constexpr char kMetal[] = "/System/Library/Frameworks/Metal.framework/Metal";
#endif

bool load(const char *path, Api &api) {
  DriverLibrary objective_c(kObjectiveC);
  DriverLibrary metal(path);
  const bool whole = metal.find("MTLCreateSystemDefaultDevice", api.CreateSystemDefaultDevice) &&
                     objective_c.find("objc_getClass", api.getClass) &&
                     objective_c.find("sel_registerName", api.registerName) &&
                     objective_c.find("objc_autoreleasePoolPush", api.autoreleasePoolPush) &&
                     objective_c.find("objc_autoreleasePoolPop", api.autoreleasePoolPop) &&
                     objective_c.find("objc_msgSend", api.msgSend);
  return objective_c.keep_if(whole) && metal.keep_if(whole);
}

}  // namespace

const Api &api() {
  static const Error missing(SE_UNSUPPORTED, "this system has no Metal");
  return loaded_once<Api>(std::array{kMetal}, load, missing);
}

Id string(const std::string &text) { return send(api().getClass("NSString"), "stringWithUTF8String:", text.c_str()); }

std::string text(Id string) {
  const char *words = send<const char *>(string, "UTF8String");
  return words == nullptr ? "" : words;
}

std::string reason(Id error) {
  const std::string message = text(send(error, "localizedDescription"));
  return message.empty() ? "no reason given" : message;
}

}  // namespace se::metal
