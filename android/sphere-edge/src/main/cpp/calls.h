// The native functions of each manager, as JNI_OnLoad registers them.
#pragma once

#include <jni.h>

#include <exception>
#include <new>
#include <type_traits>
#include <vector>

#include "exchange.h"

namespace sphere_edge_jni {

// The machine of this process, for log messages of threads that Java does not know.
void remember(JavaVM *machine);

std::vector<JNINativeMethod> general_functions();
std::vector<JNINativeMethod> text_functions();
std::vector<JNINativeMethod> audio_functions();
std::vector<JNINativeMethod> image_functions();

// Calls a function of ours; no C++ exception reaches Java.
template <auto function>
struct Guarded;
template <typename Result, typename... Arguments, Result (*function)(JNIEnv *, Arguments...)>
struct Guarded<function> {
  static Result call(JNIEnv *env, Arguments... arguments) {
    try {
      return function(env, arguments...);
    } catch (const std::bad_alloc &) {
      fail(env, SE_OOM_RAM, "out of memory between Java and the engine", "");
    } catch (const std::exception &error) {
      fail(env, SE_INTERNAL, error.what(), "");
    }
    if constexpr (!std::is_void_v<Result>) return Result{};
  }
};

template <auto function>
JNINativeMethod method(const char *name, const char *signature) {
  // The interface has no const.
  return {const_cast<char *>(name), const_cast<char *>(signature), reinterpret_cast<void *>(&Guarded<function>::call)};
}

}  // namespace sphere_edge_jni
